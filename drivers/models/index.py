"""A Python package index: where a file of a package can be downloaded.

Speaks PEP 691 (JSON) and, for mirrors that only have that, PEP 503 (HTML). It knows nothing
about models or wheels' contents.
"""

from __future__ import annotations

import os
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from llmagentos.abi.errors import EIO, ENOENT

if TYPE_CHECKING:
    import requests

PYPI: Final = "https://pypi.org/simple"
_JSON: Final = "application/vnd.pypi.simple.v1+json"
_ACCEPT: Final = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


def index_url() -> str:
    """``LLMOS_PYPI_INDEX``, pip's own ``PIP_INDEX_URL``, or pypi.org."""
    return os.environ.get("LLMOS_PYPI_INDEX") or os.environ.get("PIP_INDEX_URL") or PYPI


def find_file(session: requests.Session, package: str, filename: str) -> str:
    """The URL of one file of a package."""
    import requests

    index = index_url()
    page = f"{index.rstrip('/')}/{package}/"
    try:
        reply = session.get(page, headers={"Accept": _ACCEPT}, timeout=30)
    except requests.RequestException as error:
        raise EIO(
            f"the package index {without_password(index)} can't be reached: {reason(error)}",
            hint="check the network, or name a mirror in LLMOS_PYPI_INDEX",
        ) from None
    if reply.status_code != 200:
        raise EIO(
            f"the package index answered {reply.status_code} for {without_password(page)}",
            hint="is it a simple index (…/simple)? name another one in LLMOS_PYPI_INDEX",
        )
    links = _links(reply)
    if filename not in links:
        raise ENOENT(
            f"the package index {without_password(index)} has no {filename}",
            hint="name a mirror that has it in LLMOS_PYPI_INDEX, such as https://pypi.org/simple",
        )
    return urljoin(reply.url, links[filename])


def without_password(url: str) -> str:
    """A URL as it may be shown and logged."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def reason(error: BaseException) -> str:
    """The innermost cause of a network error, in one line, without the address in it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return (str(error) or type(error).__name__).splitlines()[0]


def _links(reply: requests.Response) -> dict[str, str]:
    if "json" in reply.headers.get("Content-Type", ""):
        try:
            return {str(file["filename"]): str(file["url"]) for file in reply.json()["files"]}
        except (ValueError, KeyError, TypeError):
            raise EIO(
                f"the package index sent no PEP 691: {without_password(reply.url)}",
                hint="name another index in LLMOS_PYPI_INDEX",
            ) from None
    anchors = _Anchors()
    anchors.feed(reply.text)
    return {unquote(urlsplit(link).path.rpartition("/")[2]): link for link in anchors.links}


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links.extend(value for key, value in attrs if tag == "a" and key == "href" and value)
