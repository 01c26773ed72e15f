"""The worked example of docs/standard.md works as it stands there."""

import re
from pathlib import Path

from tests.system.commands import tillkeeper

PAGE = (Path(__file__).parents[2] / "docs" / "standard.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.+?)```", PAGE, re.DOTALL)


async def test_the_example_gives_what_the_page_shows(tmp_path):
    (captured,) = blocks("json")
    (tmp_path / "paid.json").write_text(captured)
    (tmp_path / "tillkeeper.toml").write_text("\n".join(blocks("toml")))
    done = await tillkeeper(
        "inspect", "--config", tmp_path / "tillkeeper.toml", tmp_path / "paid.json", as_program=True
    )
    assert done.code == 0, done.out + done.err
    shown = re.search(r"paid\.json: verified.+?(?=\n\n)", PAGE, re.DOTALL)[0]
    wanted = [line.strip() for line in shown.splitlines()]
    assert [line.strip() for line in done.out.replace(f"{tmp_path}/", "").splitlines()] == wanted
