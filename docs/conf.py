"""The site that `make docs` builds of the Markdown in this folder; `pages.py` adds what GitHub knows nothing of."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import pages  # noqa: E402  # the path above leads to both

from llm_strategy import __version__  # noqa: E402  # likewise

project = "llm-strategy"
author = "Andreas Kirsch and the llm-strategy contributors"
project_copyright = author
version = release = __version__
language = "en"
smartquotes = False  # two hyphens begin an option

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.githubpages", "sphinx_copybutton", "pages"]
source_suffix = {".md": "markdown"}  # each of these is executed by tests/documentation
exclude_patterns = ["*.py"]
nitpicky = True
nitpick_ignore_regex = [
    # Names of others lead nowhere, since nothing is fetched while the site is built; nor do the insides of modules.
    ("py:.*", r"(?!llm_strategy\.\w+$).*"),
]
suppress_warnings = ["misc.highlighting_failure"]  # what is shown may be cut short with dots

myst_heading_anchors = 4  # the anchors that GitHub gives to headings
myst_enable_extensions = ["strikethrough"]

autodoc_default_options = {"members": True, "exclude-members": "model_post_init"}  # which is pydantic's
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
pygments_dark_style = "a11y-high-contrast-dark"  # furo's own underlines names, as if they led somewhere
html_title = "llm-strategy"
html_last_updated_fmt = None  # one text, one page: the day of its building is no part of it
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_theme_options = {
    "navigation_with_keys": True,
    "source_repository": pages.REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}
copybutton_prompt_text = r"^\$ |^> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_remove_prompts = True
