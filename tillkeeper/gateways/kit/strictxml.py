"""Parses XML strictly: in UTF-8, bounded, and without anything that expands, executes, or has two readings.

A DOCTYPE is refused where it begins, before anything in it is read.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from tillkeeper.gateways.errors import BadPayload

ELEMENTS_MAX: Final = 2_000  # a Braintree transaction has about 300, a WeChat Pay notice 20
# For what can be many in one element: parts of texts, attributes, references.  Most XML is read before it is verified.
BYTES_MAX: Final[Mapping[bytes, int]] = {b"<": 3 * ELEMENTS_MAX, b"=": 2 * ELEMENTS_MAX, b"&": 2 * ELEMENTS_MAX}
DEPTH_MAX: Final = 32  # Braintree's nest 8 deep
CHARSETS: Final = frozenset({b"utf-8", b"utf8"})

_DECLARED_CHARSET: Final = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([^"'>]*)""")


class Element(msgspec.Struct, frozen=True):
    """An element.  It holds text or other elements, never both; white space around elements is dropped."""

    name: str
    attributes: Mapping[str, str]
    text: str
    children: "tuple[Element, ...]"


def loads(body: bytes) -> Element:
    """Returns the element at the top.  Raises BadPayload and nothing else."""
    _check_charset(body)
    for byte, count_max in BYTES_MAX.items():
        if body.count(byte) > count_max:
            raise BadPayload(f"the XML has {byte.decode()} more than {count_max} times")
    builder = _Builder()
    parser = DefusedXMLParser(target=builder, encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
    except ParseError as error:
        raise BadPayload(f"the body is not XML: line {error.position[0]}, column {error.position[1]}") from None
    except DefusedXmlException:
        raise BadPayload("the XML holds a DOCTYPE or an entity of its own") from None
    finally:
        vars(parser).clear()  # it and its expat parser form a reference cycle, which would keep the body
    return builder.top


def record(body: bytes, tops: Collection[str]) -> dict[str, str]:
    """Returns the fields of a flat record, by name, blank ones included.  `tops` are names that its top may have."""
    top = loads(body)
    if top.name not in tops:
        raise BadPayload(f"the XML's top is none of {', '.join(sorted(tops))}")
    if top.text.strip() or any(field.children for field in top.children):
        raise BadPayload("the XML is no flat record")
    fields = {field.name: field.text for field in top.children}
    if len(fields) != len(top.children):
        raise BadPayload("the XML repeats an element")
    return fields


def _check_charset(body: bytes) -> None:
    """Refuses a body that declares another charset: the parser would read it as UTF-8 all the same."""
    declared = _DECLARED_CHARSET.match(body)
    if declared is not None and declared[1].lower() not in CHARSETS:
        raise BadPayload("the XML declares another charset than UTF-8")
    if b"\x00" in body:
        raise BadPayload("the body holds a character that no database can keep")


class _Open:
    """An element whose end tag was not read yet."""

    def __init__(self, name: str, attributes: Mapping[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.texts: list[str] = []
        self.children: list[Element] = []

    def closed(self) -> Element:
        text = "".join(self.texts)
        if self.children:
            if text.strip():
                raise BadPayload("an element of the XML holds text beside other elements")
            text = ""
        return Element(self.name, self.attributes, text, tuple(self.children))


class _Builder:
    """Builds elements from the parser's events; each limit is checked before anything beyond it is kept."""

    top: Element

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise BadPayload(f"the XML has more than {ELEMENTS_MAX} elements")
        if len(self._open) >= DEPTH_MAX:
            raise BadPayload(f"the XML nests deeper than {DEPTH_MAX}")
        self._open.append(_Open(name, attributes))

    def data(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def end(self, _name: str) -> None:
        element = self._open.pop().closed()
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.top = element

    def pi(self, _target: str, _text: str | None = None) -> None:
        raise BadPayload("the XML holds a processing instruction")

    def comment(self, _text: str) -> None:
        """Refuses a comment: readers differ in whether a comment ends the text around it."""
        raise BadPayload("the XML holds a comment")

    def close(self) -> None:
        """Does nothing at the end of the document."""
