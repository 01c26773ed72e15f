"""The lossy day as people run it, with the week of looking after it: what is found out only then is found, too."""

import asyncio
import json
import sys

import pytest

ORDERS = 50


@pytest.mark.faults
async def test_after_nine_days_every_order_is_as_its_gateway_knows_it():
    told = ("--scenario", "lossy-day", "--seed", "3", "--payments", str(ORDERS), "--json")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillkeeper", "sandbox", *told),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await child.communicate()
    assert child.returncode == 0, (errors + output).decode()
    day = json.loads(output)
    assert (day["problems"], day["holds"]) == ([], True)
    swept, unswept = day["with_sweeps"], day["without_sweeps"]
    assert swept["never"] == 0 < unswept["never"]
    assert sum(swept["resolved_by"].values()) == day["to_find_out"]
    assert swept["resolved_by"]["operator"] == 0
