"""Every row can be measured: tiny sizes, real agents. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import MEASURES, main
from bench.rows import ROWS

#: What `./sworm up` is needed for.
WHOLE = ("up", "rest", "stream")


def rows_measured(path: Path, *names: str) -> set[str]:
    assert main([*names, "--quick", "--json", str(path)]) == 0
    return {row["row"] for row in json.loads(path.read_text())["rows"]}


def is_whole(key: str) -> bool:
    return key.partition(".")[0] in WHOLE


@pytest.mark.live
def test_every_row_about_agents_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name in MEASURES if name not in WHOLE]
    found = rows_measured(tmp_path / "figures.json", *names)
    assert found == {key for key in ROWS if not is_whole(key)}
    shown = capsys.readouterr().out
    assert all(ROWS[key].text in shown for key in found)


@pytest.mark.live
@pytest.mark.long
def test_every_row_about_the_whole_system_is_measured(tmp_path: Path) -> None:
    assert rows_measured(tmp_path / "figures.json", *WHOLE) == {key for key in ROWS if is_whole(key)}


@pytest.mark.parametrize("words", [["no-such"], ["--runs", "0"], ["--runs", "x"]])
def test_wrong_usage_is_status_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
