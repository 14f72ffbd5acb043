"use strict";
// All state is in `view`. Code that changes it calls `show`, which redraws everything in the next frame.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const [width, height] = data.after;
const entries = data.reference ? [{ method: "reference" }, ...data.methods] : data.methods;
const pictures = entries.map((entry, index) => ({ ...entry, image: byId(`picture-${index}`) }));
const first = data.reference ? 1 : 0; // index of the first method
const LENS = 17, LARGEST = 64, FULL_ERROR = 64;
const LEVELS = [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, LARGEST];
const RAMP = [[0, 0, 0], [48, 32, 150], [196, 44, 130], [250, 150, 60], [255, 250, 222]];
const stage = byId("stage"), divider = byId("divider");

/** The checkerboard that shows through transparent pixels. */
const CHECKS = (() => {
  const tile = element("canvas", { width: 16, height: 16 }), brush = tile.getContext("2d");
  for (const [colour, ...box] of [["#fff", 0, 0, 16, 16], ["#c8c8c8", 0, 0, 8, 8], ["#c8c8c8", 8, 8, 8, 8]]) {
    brush.fillStyle = colour;
    brush.fillRect(...box);
  }
  return brush.createPattern(tile, "repeat");
})();

const view = {
  left: first, right: best("psnr") ?? pictures.length - 1, // indices into `pictures`
  x: width / 2, y: height / 2, // the picture pixel at the centre of the view
  zoom: 1, fitted: true, // CSS pixels per picture pixel
  split: 0.5, all: false, errors: false,
  point: null, // the picture pixel under the pointer
};
let panes = [], drawing = false;

/** Return the index of the picture with the highest value of a key (null is infinite), or undefined if none has it. */
function best(key) {
  const known = pictures.map((p, index) => ({ index, value: p[key] === null ? Infinity : p[key] })).filter((p) => p.value !== undefined);
  return known.sort((a, b) => b.value - a.value)[0]?.index;
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function show() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; draw(); });
}

// Drawing

function draw() {
  if (view.fitted) fit();
  for (const pane of panes) drawPane(pane);
  const percent = Math.round(view.split * 100);
  divider.style.left = `${view.split * 100}%`;
  divider.setAttribute("aria-valuenow", percent);
  divider.setAttribute("aria-valuetext", `${percent} % ${pictures[view.left].method}, ${100 - percent} % ${pictures[view.right].method}`);
  byId("zoom").value = `${+(view.zoom * 100).toFixed(view.zoom < 0.1 ? 1 : 0)} %`;
  byId("left").value = view.left;
  byId("right").value = view.right;
  drawLenses();
}

/** Resize a canvas to the screen pixels that it covers, and return its width and height. */
function fitCanvas(canvas) {
  const size = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * devicePixelRatio));
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  return size;
}

function drawPane(pane) {
  const { canvas, shown } = pane, size = fitCanvas(canvas), context = canvas.getContext("2d");
  context.clearRect(0, 0, ...size);
  const edges = [0, Math.round(size[0] * view.split), size[0]];
  shown().forEach((picture, side, both) => {
    const [from, to] = both.length > 1 ? [edges[side], edges[side + 1]] : [0, size[0]];
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, size[1]);
    context.clip();
    drawPicture(context, picture, size, view.zoom * devicePixelRatio);
    context.restore();
  });
  pane.name();
}

/** Draw the visible part of a picture. At integer zoom, the edges of its pixels fall on the edges of screen pixels. */
function drawPicture(context, picture, [wide, high], zoom) {
  const x = Math.round(wide / 2 - view.x * zoom), y = Math.round(high / 2 - view.y * zoom);
  const left = Math.max(0, Math.floor(-x / zoom)), top = Math.max(0, Math.floor(-y / zoom));
  const right = Math.min(width, Math.ceil((wide - x) / zoom)), bottom = Math.min(height, Math.ceil((high - y) / zoom));
  if (right <= left || bottom <= top) return;
  const target = [x + left * zoom, y + top * zoom, (right - left) * zoom, (bottom - top) * zoom];
  context.fillStyle = CHECKS;
  context.fillRect(...target);
  context.imageSmoothingEnabled = zoom < 1;
  context.imageSmoothingQuality = "high";
  context.drawImage(view.errors ? errorMap(picture) : picture.image, left, top, right - left, bottom - top, ...target);
}

/** Return a picture, or a part of it, on white, as ImageData. */
function pixels(picture, x = 0, y = 0, w = width, h = height) {
  const context = element("canvas", { width: w, height: h }).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(-x, -y, width, height);
  context.drawImage(picture.image, -x, -y);
  return context.getImageData(0, 0, w, h);
}

/** Return the largest difference from the reference over red, green and blue at each pixel, in colours of `RAMP`. Cached. */
function errorMap(picture) {
  if (picture.errors) return picture.errors;
  const reference = pixels(pictures[0]).data, own = pixels(picture), values = own.data;
  const colours = Array.from({ length: 256 }, (_, level) => ramp(Math.min(1, level / FULL_ERROR)));
  for (let i = 0; i < values.length; i += 4) {
    const colour = colours[Math.max(Math.abs(values[i] - reference[i]), Math.abs(values[i + 1] - reference[i + 1]), Math.abs(values[i + 2] - reference[i + 2]))];
    values[i] = colour[0];
    values[i + 1] = colour[1];
    values[i + 2] = colour[2];
  }
  picture.errors = element("canvas", { width, height });
  picture.errors.getContext("2d").putImageData(own, 0, 0);
  return picture.errors;
}

/** Return the colour of an error between 0 and 1. */
function ramp(t) {
  const place = Math.min(RAMP.length - 2, Math.floor(t * (RAMP.length - 1))), part = t * (RAMP.length - 1) - place;
  return RAMP[place].map((low, channel) => Math.round(low + (RAMP[place + 1][channel] - low) * part));
}

function drawLenses() {
  const at = view.point ?? [view.x, view.y], half = (LENS - 1) / 2;
  const x = Math.min(width - 1, Math.max(0, Math.floor(at[0]))), y = Math.min(height - 1, Math.max(0, Math.floor(at[1])));
  byId("place").textContent = `x ${x}, y ${y}`;
  for (const picture of pictures) {
    const context = picture.lens.getContext("2d"), size = fitCanvas(picture.lens)[0], pixel = size / LENS;
    context.fillStyle = CHECKS;
    context.clearRect(0, 0, size, size);
    context.fillRect((half - x) * pixel, (half - y) * pixel, width * pixel, height * pixel);
    context.imageSmoothingEnabled = false;
    // drawImage clips the part of the source that lies outside the picture.
    context.drawImage(view.errors ? errorMap(picture) : picture.image, x - half, y - half, LENS, LENS, 0, 0, size, size);
    for (const [colour, around] of [["#fff", 0.5], ["#000", 1.5]]) {
      context.strokeStyle = colour;
      context.strokeRect(half * pixel - around, half * pixel - around, pixel + 2 * around, pixel + 2 * around);
    }
    picture.value.textContent = [...pixels(picture, x, y, 1, 1).data.slice(0, 3)].join(" ");
  }
}

// Moving

/** Show the whole picture. Enlarge it only by an integer factor, so that all its pixels have the same size. */
function fit() {
  const { clientWidth, clientHeight } = panes[0].canvas;
  const zoom = Math.min(clientWidth / width, clientHeight / height, 8) * devicePixelRatio;
  Object.assign(view, { x: width / 2, y: height / 2, zoom: (zoom > 1 ? Math.floor(zoom) : zoom) / devicePixelRatio });
}

function move(dx, dy) {
  view.x = Math.min(width, Math.max(0, view.x - dx / view.zoom));
  view.y = Math.min(height, Math.max(0, view.y - dy / view.zoom));
  view.fitted = false;
  show();
}

/** Zoom about a point, given as its distance from the centre of the view in CSS pixels. */
function zoomTo(zoom, dx = 0, dy = 0) {
  zoom = Math.min(LARGEST, Math.max(LEVELS[0], zoom));
  view.x += dx / view.zoom - dx / zoom;
  view.y += dy / view.zoom - dy / zoom;
  view.zoom = zoom;
  move(0, 0);
}

const zoomIn = () => zoomTo(LEVELS.find((level) => level > view.zoom * 1.001) ?? LARGEST);
const zoomOut = () => zoomTo(LEVELS.findLast((level) => level < view.zoom * 0.999) ?? LEVELS[0]);
const fitView = () => { view.fitted = true; show(); };
const actual = () => zoomTo(1);
const swap = () => { [view.left, view.right] = [view.right, view.left]; show(); };
const step = (by) => { view.right = (view.right + by + pictures.length) % pictures.length; show(); };
const slide = (split) => { view.split = Math.min(1, Math.max(0, split)); show(); };

function showErrors(shown) {
  view.errors = byId("errors").checked = shown && Boolean(data.reference);
  show();
}

function showAll(all) {
  view.all = all;
  stage.className = all ? "all" : "pair";
  document.querySelector(`[name=view][value=${all ? "all" : "pair"}]`).checked = true;
  for (const id of ["left", "right", "swap"]) byId(id).disabled = all;
  for (const pane of panes) pane.figure.remove();
  panes = all ? pictures.map((picture) => makePane(() => [picture])) : [makePane(() => [pictures[view.left], pictures[view.right]])];
  stage.prepend(...panes.map((pane) => pane.figure));
  show();
}

function makePane(shown) {
  const canvas = element("canvas"), caption = element("figcaption");
  canvas.setAttribute("role", "img");
  let named = "";
  const name = () => {
    const names = shown().map((picture) => picture.method + (view.errors ? ", error map" : ""));
    if (named === names.join()) return;
    named = names.join();
    canvas.setAttribute("aria-label", names.join(" on the left, ") + (names.length > 1 ? " on the right" : ""));
    caption.replaceChildren(...names.map((text) => element("span", { textContent: text })));
  };
  return { shown, canvas, name, figure: element("figure", { className: "pane" }, canvas, caption) };
}

// Pointer and keys

/** Return the position of an event relative to the centre of its pane, in CSS pixels. */
function fromMiddle(event) {
  const box = (event.target.closest?.(".pane") ?? panes[0].figure).getBoundingClientRect();
  return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
}

function pointAt(event) {
  const [dx, dy] = fromMiddle(event);
  view.point = [view.x + dx / view.zoom, view.y + dy / view.zoom];
  show();
}

const pointers = new Map(); // the last event of each pressed pointer, by its id
let held = {}; // the view before the first of them was pressed
stage.addEventListener("pointerdown", (event) => {
  if (!pointers.size) held = { ...view };
  if (event.target === divider || event.button > 0) return;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  stage.classList.add("dragging");
  pointAt(event);
});
stage.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return event.target !== divider && pointAt(event);
  const other = [...pointers.values()].find((each) => each.pointerId !== event.pointerId);
  pointers.set(event.pointerId, event);
  const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
  if (!other) return move(dx, dy);
  const distance = (each) => Math.hypot(each.clientX - other.clientX, each.clientY - other.clientY);
  move(dx / 2, dy / 2);
  zoomTo(view.zoom * distance(event) / Math.max(1, distance(before)));
});
for (const name of ["pointerup", "pointercancel"]) {
  stage.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    stage.classList.toggle("dragging", pointers.size > 0);
    if (name === "pointercancel") { // the page scrolls instead
      Object.assign(view, held);
      show();
    }
  });
}
// One finger that moves up or down scrolls the page (`touch-action` in page.css); two move and zoom the pictures.
for (const name of ["touchstart", "touchmove"]) {
  stage.addEventListener(name, (event) => { if (event.touches.length > 1 && event.cancelable) event.preventDefault(); }, { passive: false });
}
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomTo(view.zoom * Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...fromMiddle(event));
}, { passive: false });

divider.addEventListener("pointerdown", (event) => { divider.setPointerCapture(event.pointerId); });
divider.addEventListener("pointermove", (event) => {
  if (!divider.hasPointerCapture(event.pointerId)) return;
  const box = stage.getBoundingClientRect();
  slide((event.clientX - box.left) / box.width);
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  "+": zoomIn, "=": zoomIn, "-": zoomOut, 0: fitView, 1: actual, "[": () => step(-1), "]": () => step(1), x: swap,
  a: () => showAll(!view.all), e: () => showErrors(!view.errors),
};
stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onDivider = event.target === divider, arrow = ARROWS[event.key];
  if (arrow && onDivider) {
    slide(view.split + (arrow[0] - arrow[1]) * (event.shiftKey ? 0.1 : 0.02));
  } else if (arrow) {
    view.point = null;
    move(...arrow.map((by) => -by * (event.shiftKey ? 200 : 40)));
  } else if (onDivider && (event.key === "Home" || event.key === "End")) {
    slide(event.key === "Home" ? 0 : 1);
  } else {
    const action = KEYS[event.key.toLowerCase()];
    if (!action) return;
    action();
  }
  event.preventDefault();
});

// Controls, numbers and lenses

function fillNumbers() {
  const columns = data.reference ? [["psnr", "PSNR, dB", 2], ["ssim", "SSIM", 4]] : [];
  const head = document.querySelector("#numbers thead tr"), body = document.querySelector("#numbers tbody");
  head.append(...columns.map(([, title]) => element("th", { scope: "col", textContent: title })));
  for (const [index, picture] of pictures.entries()) {
    if (index < first) continue;
    const row = body.insertRow();
    const name = element("span", { textContent: picture.method });
    row.append(element("th", { scope: "row" }, name, element("small", { textContent: picture.when })));
    row.insertCell().textContent = picture.seconds < 0.0995 ? `${Math.round(picture.seconds * 1000)} ms` : `${picture.seconds.toFixed(2)} s`;
    for (const [key, , digits] of columns) {
      const text = picture[key] === null ? "∞" : picture[key].toFixed(digits);
      row.insertCell().append(index === best(key) ? element("strong", { textContent: text }) : text);
    }
  }
  const notes = [...data.notes, ...data.methods.flatMap((each) => each.notes.map((note) => `${each.method}: ${note}`))];
  byId("notes").append(...notes.map((textContent) => element("li", { textContent })));
  byId("notes").hidden = !notes.length;
  byId("measure").hidden = byId("errors-control").hidden = !data.reference;
  byId("reference").textContent = data.reference ? `The reference is ${data.reference}.` : "";
  byId("ramp").style.background = `linear-gradient(90deg, ${RAMP.map((colour) => `rgb(${colour})`)})`;
}

function makeLenses() {
  for (const picture of pictures) {
    picture.lens = element("canvas");
    picture.lens.setAttribute("role", "img");
    picture.lens.setAttribute("aria-label", `${picture.method}, enlarged`);
    picture.value = element("span", { className: "value" });
    byId("lenses").append(element("li", {}, picture.lens, element("span", { className: "name", textContent: picture.method.replace(/[:,]/g, "$&\u200b") }), picture.value));
  }
}

const preference = matchMedia("(prefers-color-scheme: dark)");

/** Use the chosen theme, else the one that the system prefers. The button names the other one. */
function showTheme(chosen = document.documentElement.dataset.theme) {
  if (chosen) document.documentElement.dataset.theme = chosen;
  const other = (chosen ?? (preference.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
  byId("theme").textContent = other === "dark" ? "Dark" : "Light";
  byId("theme").onclick = () => showTheme(other);
}

preference.addEventListener("change", () => showTheme());
showTheme();
for (const side of ["left", "right"]) {
  byId(side).append(...pictures.map((picture, value) => element("option", { value, textContent: picture.method })));
  byId(side).addEventListener("change", (event) => { view[side] = +event.target.value; show(); });
}
for (const radio of document.querySelectorAll("[name=view]")) radio.addEventListener("change", () => showAll(radio.value === "all"));
byId("errors").addEventListener("change", (event) => showErrors(event.target.checked));
for (const [id, action] of Object.entries({ in: zoomIn, out: zoomOut, fit: fitView, actual, swap })) byId(id).addEventListener("click", action);

fillNumbers();
makeLenses();
showAll(false);
new ResizeObserver(show).observe(stage);
Promise.all(pictures.map(({ image }) => image.decode().then(show)));
