"""A small ray tracer for one picture: a pier on a lake, with as much fine detail as 256 x 192 pixels hold.

Conventions: points, rays and colours are float64 arrays (3, N). x points right, y up, z into the picture,
one unit is about a metre, the deck of the pier is y = 0. Colours are linear light; tone curve and sRGB
transfer come last.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Colour = tuple[float, float, float]
Dice = np.random.RandomState  # NumPy's frozen generator: its numbers never change between versions

WIDTH, HEIGHT = 256, 192
GRID = 4  # GRID x GRID rays a pixel, each with a sun of its own: edges and shadows come out soft

SUN = np.array([0.74, 0.54, 0.06]) / np.linalg.norm([0.74, 0.54, 0.06])
SUN_COLOUR = np.array([3.5, 2.6, 1.75])
SKY_LIGHT = np.array([0.40, 0.52, 0.80])
DECK_LIGHT = np.array([0.30, 0.21, 0.14])
WATER_LEVEL = -0.6
PIER_HALF_WIDTH, PIER_END = 2.25, 12.0
RAIL_X, RAIL_TOP, RAIL_BOTTOM = 2.0, 0.98, 0.2
POSTS = np.arange(-2.0, 12.1, 2.0)
BOAT = np.array([-10.6, WATER_LEVEL, 30.0])

_ANGLES = Dice(7).random_sample((256, 256)) * 2 * np.pi
_GRADIENT_X, _GRADIENT_Y = np.cos(_ANGLES).ravel(), np.sin(_ANGLES).ravel()

Distance = Callable[[Array, Array], Array]  # origins (3, N), rays (3, N) -> (N,)


class Material(NamedTuple):
    """What light does at the points that were hit."""

    albedo: Array  # (3, N), 0 to 1
    normal: Array  # (3, N), unit length
    mirror: float  # share of the light reflected head-on, 0 to 1; 0 reflects nothing at any angle


class Surface(NamedTuple):
    """A thing in the scene: how far along a ray it is met (inf where it is not), and its material."""

    distance: Distance
    material: Callable[[Array], Material]
    casts_shadow: bool


def dot(a: Array, b: Array) -> Array:
    """Scalar products (N,) of vectors (3, N); one of the two may be (3,)."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def unit(a: Array) -> Array:
    """Vectors (3, N) scaled to length 1."""
    return a / np.sqrt(dot(a, a))


def mix(a: Array, b: Array, share: Array) -> Array:
    """Colours (3, N) between `a` (share 0) and `b` (share 1); a colour may be (3,), the share is (N,)."""
    a, b = (c[:, None] if c.ndim == 1 else c for c in (a, b))
    return a + (b - a) * share


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, the cubic 3t^2 - 2t^3 between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(x: Array, y: Array) -> Array:
    """Gradient noise, about -0.7 to 0.7, one bump a unit (Perlin 2002, "Improving Noise": quintic fade)."""
    floor_x, floor_y = np.floor(x), np.floor(y)
    u, v = x - floor_x, y - floor_y
    column, row = floor_x.astype(np.int64), floor_y.astype(np.int64)

    def corner(i: int, j: int) -> Array:
        index = ((row + j) & 255) * 256 + ((column + i) & 255)
        return _GRADIENT_X[index] * (u - i) + _GRADIENT_Y[index] * (v - j)

    fade_u, fade_v = (t * t * t * (t * (t * 6 - 15) + 10) for t in (u, v))
    top = corner(0, 0) + fade_u * (corner(1, 0) - corner(0, 0))
    bottom = corner(0, 1) + fade_u * (corner(1, 1) - corner(0, 1))
    return top + fade_v * (bottom - top)


def fractal(x: Array, y: Array, octaves: int) -> Array:
    """Noise summed over octaves of half the size and half the height each, about -1 to 1.

    Each octave is turned by the 3-4-5 angle, which keeps the lattices from lining up.
    """
    total, height = np.zeros_like(x), 1.0
    for _ in range(octaves):
        total += height * noise(x, y)
        x, y, height = 1.6 * x - 1.2 * y + 17.3, 1.2 * x + 1.6 * y + 5.9, height / 2
    return total


# --- far away: what a ray sees that hits nothing ------------------------------------------------------------


def sky(ray: Array) -> Array:
    """Colours (3, N) of the sky in the directions `ray`: gradient, sun, clouds, and the hills before them."""
    x, y, z = ray
    height = np.maximum(y, 0)
    towards_sun = np.maximum(dot(SUN, ray), 0)
    horizon = mix(np.array([0.52, 0.72, 0.92]), np.array([1.30, 1.00, 0.72]), towards_sun)
    colour = mix(np.array([0.03, 0.19, 0.56]), horizon, np.exp(-5.5 * height))
    disc = 12 * smoothstep(0.9975, 0.999, towards_sun)
    colour = colour + SUN_COLOUR[:, None] * (0.10 * towards_sun**8 + disc)

    # A flat layer of clouds; the density a step nearer the sun tells the bright rims from the shaded bellies.
    across, along = (4.6 * side / (height + 0.16) for side in (x, z))
    warp = 0.5 * fractal(0.35 * across + 3, 0.35 * along + 8, 3)
    across, along = 0.30 * across + warp, 0.42 * along + 0.6 * warp
    density = fractal(across, along, 7)
    shade = np.clip(0.55 + 1.5 * (density - fractal(across + 0.16, along + 0.04, 5)), 0, 1)
    cover = smoothstep(0.02, 0.50, density) * smoothstep(0.0, 0.10, height)
    cloud = mix(np.array([0.42, 0.40, 0.54]), np.array([1.75, 1.35, 1.02]), shade)
    return hills(ray, mix(colour, cloud, 0.92 * cover))


class Range(NamedTuple):
    """One range of hills; heights are tangents of the angle above the horizon."""

    base: float
    relief: float
    jags: float  # bumps of the crest a radian
    grain: float  # bumps of the slopes a radian
    rock: Colour
    haze: float  # share of air in what is seen, beside what lies in the valleys
    snow: float  # share of white on the tops


RANGES = (
    Range(0.120, 0.085, 4.0, 34.0, (0.22, 0.19, 0.20), 0.28, 1.0),
    Range(0.058, 0.045, 5.0, 46.0, (0.16, 0.17, 0.12), 0.20, 0.0),
    Range(0.020, 0.013, 26.0, 130.0, (0.040, 0.085, 0.030), 0.02, 0.0),
)


def hills(ray: Array, colour: Array) -> Array:
    """`colour` (3, N) with the ranges painted over it, far to near."""
    x, y, z = ray
    bearing, height = np.arctan2(x, z), y / np.hypot(x, z)
    for number, row in enumerate(RANGES):
        along = row.jags * bearing + 40.0 * number + 3.0
        crest = row.base + row.relief * (0.25 + fractal(along, np.full_like(along, 9.5), 8))
        inside = height < crest
        if not inside.any():
            continue
        h = height[inside]
        # Gullies run downhill, so the texture is stretched upright; the sides that face the sun are bright.
        u, v = row.grain * bearing[inside], 0.45 * row.grain * h
        u = u + 0.8 * fractal(0.4 * u, v + 31, 3)
        light = np.clip(0.50 + 1.5 * (fractal(u, v, 6) - fractal(u + 0.25, v + 0.12, 6)), 0.04, 1.3)
        rock = np.array(row.rock)[:, None] * (0.8 + 0.4 * fractal(2 * u, 2 * v, 4))
        white = row.snow * smoothstep(-0.02, 0.03, h - 0.125 + 0.035 * fractal(1.4 * u, 1.4 * v, 5))
        ground = mix(rock, np.array([0.97, 0.97, 1.0]), white)
        ground = ground * (SUN_COLOUR[:, None] * 0.48 * light + SKY_LIGHT[:, None] * 0.42)
        haze = row.haze + 0.30 * np.exp(-h / (0.30 * row.base))
        colour[:, inside] = mix(ground, np.array([0.46, 0.58, 0.78]), haze)
    return colour


# --- near by: the surfaces of the scene ---------------------------------------------------------------------


def sphere_distance(centre: Array, radius: float) -> Distance:
    """Distance function of a sphere; only its near side counts."""

    def distance(origin: Array, ray: Array) -> Array:
        away = origin - centre[:, None]
        half_b = dot(away, ray)
        root = half_b * half_b - dot(away, away) + radius * radius
        near = -half_b - np.sqrt(np.maximum(root, 0))
        return np.where((root > 0) & (near > 1e-4), near, np.inf)

    return distance


def rod_distance(axis: int, centre: tuple[float, float], radius: float, ends: tuple[float, float]) -> Distance:
    """Distance function of a round rod along `axis` between `ends`; `centre` lies on the other two axes."""
    first, second = (i for i in range(3) if i != axis)

    def distance(origin: Array, ray: Array) -> Array:
        away_u, away_v = origin[first] - centre[0], origin[second] - centre[1]
        a = ray[first] ** 2 + ray[second] ** 2 + 1e-12
        half_b = away_u * ray[first] + away_v * ray[second]
        root = half_b * half_b - a * (away_u**2 + away_v**2 - radius * radius)
        near = (-half_b - np.sqrt(np.maximum(root, 0))) / a
        place = origin[axis] + near * ray[axis]
        return np.where((root > 0) & (near > 1e-4) & (place > ends[0]) & (place < ends[1]), near, np.inf)

    return distance


def plane_distance(axis: int, level: float, inside: Callable[[Array], Mask]) -> Distance:
    """Distance function of the part of the plane `axis` = `level` where `inside` says yes to points."""

    def distance(origin: Array, ray: Array) -> Array:
        step = ray[axis]
        near = (level - origin[axis]) / np.where(np.abs(step) < 1e-9, 1e-9, step)
        ahead = (near > 1e-4) & (near < 1e4)
        point = origin + np.where(ahead, near, 0) * ray
        return np.where(ahead & inside(point), near, np.inf)

    return distance


def checkered(centre: Array, radius: float, axis: Array) -> Callable[[Array], Material]:
    """A lacquered ball, red and cream squares by longitude and latitude about `axis` (3,)."""
    side = np.cross(axis, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)

    def material(point: Array) -> Material:
        normal = (point - centre[:, None]) / radius
        east, north, up = (dot(direction, normal) for direction in (side, other, axis))
        longitude, latitude = np.arctan2(east, north), np.arccos(np.clip(up, -1, 1))
        odd = (np.floor(longitude * 8 / np.pi) + np.floor(latitude * 9 / np.pi)) % 2
        albedo = mix(np.array([0.62, 0.035, 0.03]), np.array([0.86, 0.76, 0.58]), odd)
        return Material(albedo, normal, 0.05)

    return material


def plain(centre: Array, radius: float, albedo: Colour, mirror: float) -> Callable[[Array], Material]:
    """A ball of one colour."""

    def material(point: Array) -> Material:
        normal = (point - centre[:, None]) / radius
        return Material(np.array(albedo)[:, None] * np.ones_like(point), normal, mirror)

    return material


def in_pier(point: Array) -> Mask:
    """Whether points of the plane y = 0 lie on the deck."""
    result: Mask = (np.abs(point[0]) < PIER_HALF_WIDTH) & (point[2] < PIER_END)
    return result


def deck(point: Array) -> Material:
    """Weathered boards along z: each with its own tone, grain, dark gaps, staggered ends, nails."""
    x, z = point[0] / 0.30 + 0.5, point[2]
    board = np.floor(x)
    across = x - board
    along = z / 3.2 + (board * 0.381) % 1
    end = np.floor(along)
    tone = noise(board * 3.7 + 0.5, end * 5.3 + 0.5)
    u, v = x * 5 + 13 * board, 0.8 * z + 7.7 * end
    grain = fractal(u * 1.4 + 0.8 * noise(0.6 * u, 2 * v), v, 5)
    value = 0.34 + 0.16 * tone + 0.17 * grain
    albedo = mix(np.array([0.80, 0.66, 0.50]), np.array([1.05, 0.84, 0.60]), 0.5 + tone) * value
    from_end = np.abs(along - np.round(along)) * 3.2
    gap = np.maximum(smoothstep(0.44, 0.49, np.abs(across - 0.5)), 1 - smoothstep(0.008, 0.02, from_end))
    nail = np.hypot(from_end - 0.09, (np.abs(across - 0.5) - 0.26) * 0.30)
    albedo = albedo * (1 - 0.9 * gap) * (0.35 + 0.65 * smoothstep(0.012, 0.02, nail))
    bump = 0.22 * grain
    normal = unit(np.stack([bump + 0.5 * gap * np.sign(across - 0.5), np.ones_like(x), 0.1 * bump]))
    return Material(albedo, normal, 0.0)


def water(point: Array) -> Material:
    """Dark water under two sizes of waves, which flatten with the distance as the eye averages them."""
    x, _, z = point
    ripple = 0.085 / (1 + 0.012 * z)
    slope_x = fractal(0.9 * x, 0.5 * z, 4)
    slope_z = fractal(0.8 * x + 50, 0.9 * z + 20, 5)
    normal = unit(np.stack([0.6 * ripple * slope_x, np.ones_like(x), ripple * slope_z]))
    return Material(np.array([0.008, 0.03, 0.035])[:, None] * np.ones_like(point), normal, 0.02)


def in_netting(point: Array) -> Mask:
    """Whether points of the railing's plane lie on its diagonal wires."""
    _, y, z = point
    pitch, half_width = 0.28, 0.011
    rising, falling = ((t / pitch) % 1 for t in (z + y, z - y))
    on_wire = np.minimum(np.abs(rising - 0.5), np.abs(falling - 0.5)) * pitch < half_width
    result: Mask = on_wire & (y > RAIL_BOTTOM) & (y < RAIL_TOP) & (z > POSTS[0]) & (z < POSTS[-1])
    return result


def netting(point: Array) -> Material:
    """Pale wire; flat, so its normal looks up, as the lit side of a round wire does on the whole."""
    normal = np.array([0.45, 0.85, -0.28])[:, None] * np.ones_like(point)
    return Material(np.full_like(point, 0.62), normal, 0.0)


def painted(point: Array, normal: Array) -> Material:
    """White paint that the weather has worn."""
    worn = smoothstep(0.25, 0.5, fractal(9 * (point[0] + point[2]), 9 * point[1] + 3 * point[2], 4))
    return Material(mix(np.array([0.80, 0.79, 0.76]), np.array([0.42, 0.36, 0.30]), worn), normal, 0.0)


def post(z: float) -> Callable[[Array], Material]:
    """The paint of the upright rod at `z`."""
    return lambda point: painted(point, unit(np.stack([point[0] - RAIL_X, np.zeros_like(point[0]), point[2] - z])))


def rail(y: float) -> Callable[[Array], Material]:
    """The paint of the level rod at height `y`."""
    return lambda point: painted(point, unit(np.stack([point[0] - RAIL_X, point[1] - y, np.zeros_like(point[0])])))


def boat_part(point: Array) -> npt.NDArray[np.int64]:
    """Part of the boat at points of its plane: 0 none, 1 hull, 2 stripe, 3 main sail, 4 jib, 5 mast."""
    x, y = point[0] - BOAT[0], point[1] - BOAT[1]
    mast = (np.abs(x) < 0.035) & (y > 0) & (y < 4.7)
    jib = (x > 0.08) & (y > 0.75) & (x < 1.45 * (4.3 - y) / 3.55)
    main = (x < -0.08) & (y > 0.85) & (x > -1.55 * (4.6 - y) / 3.75)
    hull = (y > 0) & (y < 0.5 + 0.03 * x * x) & (x > -1.7 + 0.25 * (0.5 - y)) & (x < 1.9 - 1.1 * (0.5 - y))
    return np.select([hull & (y > 0.36) & (y < 0.44), hull, mast, main, jib], [2, 1, 5, 3, 4], 0)


def boat(point: Array) -> Material:
    """Wood, a white stripe, cream and rust sails with seams."""
    nothing, hull, stripe = (0.0, 0.0, 0.0), (0.04, 0.06, 0.13), (0.85, 0.85, 0.85)
    main_sail, jib, mast = (0.90, 0.82, 0.68), (0.80, 0.24, 0.10), (0.35, 0.22, 0.12)
    colours = np.array([nothing, hull, stripe, main_sail, jib, mast])
    part = boat_part(point)
    seam = ((point[1] * 1.7) % 1 < 0.09) & (part >= 3)
    normal = np.array([0.55, 0.35, -0.76])[:, None] * np.ones_like(point)
    return Material(colours[part].T * np.where(seam, 0.7, 1.0), normal, 0.0)


class Ball(NamedTuple):
    """A ball that lies on the deck."""

    centre: Array
    radius: float


BIG = Ball(np.array([-0.62, 0.86, 2.1]), 0.86)
BLUE = Ball(np.array([0.62, 0.36, 0.9]), 0.36)
SMALL = Ball(np.array([-1.62, 0.21, 0.75]), 0.21)
BALLS = (BIG, BLUE, SMALL)


def knob(z: float) -> Surface:
    """The painted ball on the post at `z`."""
    centre = np.array([RAIL_X, 1.15, z])
    return Surface(
        sphere_distance(centre, 0.10), lambda point: painted(point, (point - centre[:, None]) / 0.10), True
    )


def everywhere(point: Array) -> Mask:
    """All points."""
    return np.ones(point.shape[1], dtype=bool)


SURFACES = (
    Surface(plane_distance(1, 0.0, in_pier), deck, False),
    Surface(plane_distance(1, WATER_LEVEL, everywhere), water, False),
    Surface(sphere_distance(*BIG), checkered(*BIG, np.array([0.36, 0.80, -0.48])), True),
    Surface(sphere_distance(*BLUE), plain(*BLUE, (0.012, 0.03, 0.16), 0.22), True),
    Surface(sphere_distance(*SMALL), plain(*SMALL, (0.02, 0.33, 0.36), 0.05), True),
    Surface(plane_distance(0, RAIL_X, in_netting), netting, True),
    *(
        Surface(rod_distance(2, (RAIL_X, y), 0.045, (POSTS[0], POSTS[-1])), rail(y), True)
        for y in (RAIL_BOTTOM, RAIL_TOP)
    ),
    *(Surface(rod_distance(1, (RAIL_X, z), 0.075, (-0.1, 1.12)), post(z), True) for z in POSTS),
    *(knob(z) for z in POSTS),
    Surface(plane_distance(2, BOAT[2], lambda point: boat_part(point) > 0), boat, False),
)


# --- light --------------------------------------------------------------------------------------------------


def lit(point: Array, sun: Array) -> Array:
    """1.0 where the sun reaches the points, 0.0 where a surface stands before it."""
    nearest = np.full(point.shape[1], np.inf)
    for surface in SURFACES:
        if surface.casts_shadow:
            nearest = np.minimum(nearest, surface.distance(point, sun))
    return np.where(np.isinf(nearest), 1.0, 0.0)


def openness(point: Array, normal: Array) -> Array:
    """Share of the sky that the balls leave open: a ball hides cos(angle) (radius / distance)^2."""
    share = np.ones(point.shape[1])
    for centre, radius in BALLS:
        away = centre[:, None] - point
        squared = dot(away, away)
        hidden = np.maximum(dot(normal, away), 0) / np.sqrt(squared) * radius**2 / squared
        share *= 1 - np.where(squared > 1.02 * radius**2, np.minimum(hidden, 1), 0)
    return share


def trace(origin: Array, ray: Array, sun: Array, bounces: int) -> Array:
    """Colours (3, N) that come back along the rays; `sun` (3, N) leads to the sun that each one sees."""
    distances = np.stack([surface.distance(origin, ray) for surface in SURFACES])
    which = distances.argmin(axis=0)
    which[np.isinf(distances.min(axis=0))] = -1
    colour = np.empty_like(ray)
    missed = which < 0
    colour[:, missed] = sky(ray[:, missed])
    for number, surface in enumerate(SURFACES):
        hit = which == number
        if not hit.any():
            continue
        towards, light = ray[:, hit], sun[:, hit]
        point = origin[:, hit] + distances[number, hit] * towards
        albedo, normal, mirror = surface.material(point)
        normal = np.where(dot(normal, towards) > 0, -normal, normal)
        above = point + 2e-3 * normal
        direct = np.maximum(dot(normal, light), 0) * lit(above, light)
        around = mix(DECK_LIGHT, SKY_LIGHT, 0.5 + 0.5 * normal[1]) * openness(point, normal)
        result = albedo * (SUN_COLOUR[:, None] * direct + around)
        if mirror and bounces:
            facing = -dot(normal, towards)
            back = unit(towards + 2 * facing * normal)
            if surface.material is water:
                back[1] = np.abs(back[1])  # a steep wave would send the eye under water
            # Schlick 1994: F = F0 + (1 - F0)(1 - cos)^5
            share = mirror + (1 - mirror) * (1 - np.clip(facing, 0, 1)) ** 5
            result = result * (1 - share) + share * trace(above, back, light, bounces - 1)
        colour[:, hit] = result
    return colour


# --- the branch before the lens -----------------------------------------------------------------------------


class Stroke(NamedTuple):
    """A tapering stroke in picture pixels: a twig (leaf False) or a leaf, which is widest in its middle."""

    start: complex
    stop: complex
    radii: tuple[float, float]
    tone: float
    leaf: bool


def grow(start: complex, heading: float, length: float, radius: float, dice: Dice) -> list[Stroke]:
    """The strokes of a twig and of all that grows on it; `heading` in radians, clockwise from the right."""
    strokes = []
    pieces = 4
    for piece in range(pieces):
        heading += dice.uniform(-0.20, 0.20) + 0.03
        stop = start + length / pieces * complex(np.cos(heading), np.sin(heading))
        radii = (radius * (1 - 0.16 * piece), radius * (1 - 0.16 * (piece + 1)))
        strokes.append(Stroke(start, stop, radii, dice.uniform(0.7, 1.1), False))
        if radius > 0.3:
            side = -1 if piece % 2 else 1
            turn = heading + side * dice.uniform(0.45, 0.95)
            strokes += grow(stop, turn, length * dice.uniform(0.42, 0.62), radii[1] * 0.62, dice)
        elif dice.uniform() < 0.62:
            turn = heading + dice.uniform(-1.4, 1.4)
            tip = stop + dice.uniform(3.5, 6.5) * complex(np.cos(turn), np.sin(turn))
            strokes.append(Stroke(stop, tip, (1.5, 1.5), dice.uniform(0.0, 1.0), True))
        start = stop
    return strokes


def branch() -> tuple[Array, Mask]:
    """The branch on the fine grid: colours (3, GRID * HEIGHT, GRID * WIDTH) and where it is."""
    dice = Dice(23)
    strokes = grow(complex(-6, 20), -0.10, 112, 2.3, dice)
    colour = np.zeros((3, GRID * HEIGHT, GRID * WIDTH))
    covered = np.zeros(colour.shape[1:], dtype=bool)
    for stroke in sorted(strokes, key=lambda s: s.leaf):
        ends = np.array([stroke.start, stroke.stop])
        margin = max(stroke.radii) + 1
        left, right = (np.clip(GRID * (ends.real + side * margin), 0, GRID * WIDTH) for side in (-1, 1))
        top, low = (np.clip(GRID * (ends.imag + side * margin), 0, GRID * HEIGHT) for side in (-1, 1))
        window = np.s_[int(top.min()) : int(low.max()), int(left.min()) : int(right.max())]
        rows, columns = np.mgrid[window]
        place = (columns + 0.5 + 1j * (rows + 0.5)) / GRID - stroke.start
        line = stroke.stop - stroke.start
        turned = place * np.conj(line) / abs(line) ** 2
        along = np.clip(turned.real, 0, 1)
        radius = stroke.radii[0] + (stroke.radii[1] - stroke.radii[0]) * along
        if stroke.leaf:
            radius = radius * np.sin(np.pi * along)
        aside = (turned - along) * abs(line)
        inside = np.abs(aside) < radius
        # Across the stroke, from the shaded edge (-1) to the edge that looks up and right, to the sun (1).
        up_right = (aside * line / abs(line) * np.conj(complex(0.8, -0.6))).real / np.maximum(radius, 1e-6)
        if stroke.leaf:
            rust, gold = np.array([0.75, 0.19, 0.02]), np.array([0.62, 0.50, 0.06])
            base = rust + (gold - rust) * stroke.tone
            vein = 1 - 0.45 * (np.abs(turned.imag) * abs(line) < 0.16)
            shade = (0.75 + 0.35 * np.sign(turned.imag)) * vein
        else:
            base, shade = np.array([0.33, 0.22, 0.15]) * stroke.tone, 0.42 + 0.58 * up_right
        shade = np.maximum(shade, 0.08)
        colour[:, *window][:, inside] = (base[:, None, None] * shade)[:, inside]
        covered[window] |= inside
    return colour, covered


# --- the picture --------------------------------------------------------------------------------------------


def camera(dx: float, dy: float) -> tuple[Array, Array]:
    """Origins and unit rays (3, HEIGHT * WIDTH) through the points (dx, dy), 0 to 1, of all pixels."""
    eye, target = np.array([-0.15, 1.62, -3.3]), np.array([0.12, 0.98, 4.0])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    down = np.cross(right, forward)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    u, v = ((columns + dx) / WIDTH - 0.5).ravel(), ((rows + dy - HEIGHT / 2) / WIDTH).ravel()
    ray = unit(forward[:, None] + 0.96 * (right[:, None] * u + down[:, None] * v))
    return np.repeat(eye[:, None], ray.shape[1], axis=1), ray


def film(light: Array) -> Array:
    """Linear light to linear display light, 0 to 1: a little contrast, and highlights that level off."""
    return 1 - np.exp(-1.2 * np.maximum(light, 0) ** 1.15)


def srgb(light: Array) -> Array:
    """Linear display light, 0 to 1, to sRGB code values, 0 to 255 (IEC 61966-2-1)."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def render() -> npt.NDArray[np.uint8]:
    """The picture, (HEIGHT, WIDTH, 3) sRGB code values, the same at every call."""
    dice = Dice(5)
    wood, covered = branch()
    turn = dice.uniform(0, 2 * np.pi, HEIGHT * WIDTH)
    sun_right = np.cross(SUN, [0.0, 1.0, 0.0])
    sun_up = np.cross(sun_right, SUN)
    total = np.zeros((3, HEIGHT * WIDTH))
    rays = GRID * GRID
    for number in range(rays):
        row, column = divmod(number, GRID)
        origin, ray = camera((column + 0.5) / GRID, (row + 0.5) / GRID)
        # Vogel 1979: the golden angle spreads points evenly over a disc, here a sun twelve times too wide.
        angle, radius = turn + 2.399963 * number, 0.055 * np.sqrt((number + 0.5) / rays)
        aside = sun_right[:, None] * np.cos(angle) + sun_up[:, None] * np.sin(angle)
        sun = unit(SUN[:, None] + radius * aside)
        colour = trace(origin, ray, sun, 2)
        near = covered[row::GRID, column::GRID].ravel()
        colour[:, near] = wood[:, row::GRID, column::GRID].reshape(3, -1)[:, near] * 1.6
        total += film(colour)
    grain = 1.3 * dice.standard_normal(HEIGHT * WIDTH) + 0.5 * dice.standard_normal((3, HEIGHT * WIDTH))
    code = srgb(total / rays) + grain
    return np.clip(np.floor(code + 0.5), 0, 255).astype(np.uint8).T.reshape(HEIGHT, WIDTH, 3)
