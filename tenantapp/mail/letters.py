"""Write letters from templates.

A template is a text file ``templates/LANGUAGE/NAME.txt`` of a package. Its first line is the subject. ``$name`` stands
for a value, as in ``string.Template``. Paragraphs are separated by empty lines. The HTML is made of the same text, so
the two say the same: a paragraph that is nothing but an address becomes a link.
"""

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from tenantapp.mail.outbox import Letter

LANGUAGES: Final = ("en", "de")
_PAGE: Final = Template(
    '<!DOCTYPE html>\n<html lang="$language"><head><meta charset="utf-8"><title>$subject</title></head>\n'
    '<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em">\n$paragraphs\n</body></html>\n'
)


def write_letter(package: str, name: str, values: Mapping[str, str], language: str = LANGUAGES[0]) -> Letter:
    """Return the letter of a package's template. A language without templates is English.

    In HTML, the values are escaped. Raises ``KeyError`` if the template names a value that is not given.
    """
    language = language if language in LANGUAGES else LANGUAGES[0]
    subject, paragraphs = _template(package, name, language)
    # A line end in a value would make further paragraphs, or lines of the subject.
    values = {key: " ".join(value.split()) for key, value in values.items()}
    texts = [Template(paragraph).substitute(values) for paragraph in paragraphs]
    subject = Template(subject).substitute(values)
    html = _PAGE.substitute(
        language=language, subject=escape(subject), paragraphs="\n".join(f"<p>{_in_html(text)}</p>" for text in texts)
    )
    return Letter(subject, "\n\n".join(texts) + "\n", html)


@cache
def _template(package: str, name: str, language: str) -> tuple[str, tuple[str, ...]]:
    text = (files(package) / "templates" / language / f"{name}.txt").read_text("utf-8")
    subject, _, body = text.partition("\n")
    return subject, tuple(body.strip().split("\n\n"))


def _in_html(text: str) -> str:
    if text.startswith(("https://", "http://")) and len(text.split()) == 1:
        return f'<a href="{escape(text)}">{escape(text)}</a>'
    return escape(text).replace("\n", "<br>\n")
