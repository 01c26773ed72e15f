"""Writes a report as one HTML file to print, with all that it needs in it."""

from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tillkeeper.desk.person import Locale
from tillkeeper.desk.show import report_cells
from tillkeeper.desk.words import say
from tillkeeper.domain.monthly.advice import Advice
from tillkeeper.domain.monthly.report import Report
from tillkeeper.domain.monthly.tables import TABLES


def page_of(report: Report, advice: tuple[Advice, ...], locale: Locale, *, as_of: str) -> str:
    """Returns the page; `as_of` says until when it knows what was recorded."""

    def say_so(key: str, **filled_in: Any) -> Markup:
        return say(key, locale, **filled_in)

    environment = Environment(
        loader=PackageLoader("tillkeeper.desk"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals.update(say=say_so)
    style = (files("tillkeeper.desk") / "static" / "report_print.css").read_text(encoding="utf-8")
    return environment.get_template("report_print.html").render(
        locale=locale,
        report=report,
        advice=[report_cells.advice_text(each, locale) for each in advice],
        tables=[(table, list(table.lines(report))) for table in TABLES],
        hours=report_cells.hours_of(report),
        cells=report_cells,
        as_of=as_of,
        style=Markup(style),  # noqa: S704 - a file of ours
    )
