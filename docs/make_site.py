"""Hook of MkDocs (`mkdocs.yml`): the site shows pages from outside `docs/`, and every link works there too.

Pages link to files as a code host needs it, such as `../training/train.py`. A site has only what is below `docs/`, so
this adds the pages of the repository's root, copies each other file that a page links to, and rewrites those links.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "sample_images/README.md": "samples.md",
}
"""Pages outside `docs/`, from the root of the repository, and their names in the site."""
ORIGINS = {name: place for place, name in PAGES.items()}
LINK = re.compile(r"(?<=\]\()[^)#\s:]+(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside `docs/`."""
    for place, name in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / place).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page's text with its links rewritten, and add the files that it links to."""
    name = page.file.src_uri
    folder = posixpath.dirname(ORIGINS.get(name, f"docs/{name}"))

    def in_site(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(folder, link[0]))
        if not (ROOT / place).is_file():
            return link[0]
        target = PAGES.get(place) or place.removeprefix("docs/")
        if files.get_file_from_path(target) is None:
            target = f"source/{place}"
            if files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, abs_src_path=str(ROOT / place)))
        return posixpath.relpath(target, posixpath.dirname(name) or ".")

    return LINK.sub(in_site, markdown)
