"""`farm plan`."""

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Farm


def _plan(farm: Farm, archive: Path, *words: object) -> tuple[int, list[dict[str, Any]]]:
    said = farm(
        *("plan", "--manifest", archive, "--destination", "/out", "--json"),
        *("--output", "160x,filename={id}.jpg", "--output", "90x90,fit=crop,count=2", *words),
    )
    return said.code, [json.loads(line) for line in said.out.splitlines()]


def test_names_pictures_without_a_probe(farm: Farm, archive: Path, source: Path) -> None:
    code, (good, missing, bad) = _plan(farm, archive, "--no-probe")
    assert code == 1
    assert good["source"] == str(source)
    assert good["media"] is None
    assert [output["spec"] for output in good["outputs"]] == [
        "160x,filename={id}.jpg",
        "90x90,fit=crop,count=2",
    ]
    assert good["outputs"][0]["pictures"] == [
        {"index": 1, "target": None, "key": "good.jpg", "uri": "/out/good.jpg"}
    ]
    assert len(good["outputs"][1]["pictures"]) == 2
    assert missing["id"] == "missing"
    assert bad["error"]["code"] == "invalid_entry"
    assert "row 3: expected a JSON object" in bad["error"]["message"]


def test_probes_in_a_lane(farm: Farm, archive: Path) -> None:
    code, (good, missing, bad) = _plan(farm, archive)
    assert code == 1
    assert good["media"]["size"] == [320, 240]
    geometry = good["outputs"][1]["geometry"]
    assert (geometry["box"], geometry["size"]) == ([40, 0, 280, 240], [90, 90])
    moments = [picture["target"]["seconds"] for picture in good["outputs"][1]["pictures"]]
    assert moments == sorted(moments)
    assert 0 < moments[0] < moments[1] < 100
    assert missing["error"]["code"] == "source_not_found"
    assert bad["error"]["code"] == "invalid_entry"


def test_a_person_reads_lines(farm: Farm, archive: Path) -> None:
    said = farm(
        *("plan", "--manifest", archive, "--destination", "/out", "--output", "90x90,fit=pad"),
    )
    lines = said.out.splitlines()
    assert lines[0].endswith("  id good")
    assert lines[1] == "   synthetic synthetic 320x240, 1:40"
    assert lines[2] == "   90x90,fit=pad  box 0,0 to 320,240 -> 90x68 on 90x90"
    assert lines[3].startswith("     15.000 s keyframe  /out/")


def test_shows_the_first_hundred(farm: Farm, tmp_path: Path) -> None:
    manifest = tmp_path / "list.txt"
    manifest.write_text("".join(f"/in/{number}.mp4\n" for number in range(101)))
    words = ["plan", "--manifest", manifest, "--destination", "/out", "--output", "9x"]
    said = farm(*words, "--no-probe", "--json")
    assert said.code == 0
    assert said.out.count("\n") == 100
    assert "--all" in said.err
    said = farm(*words, "--no-probe", "--json", "--all")
    assert (said.out.count("\n"), said.err) == (101, "")


def test_json_is_sound_whatever_a_source_is_called(farm: Farm, tmp_path: Path) -> None:
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(json.dumps({"source": "/in/\x85\u202e\x1b[31m.mp4"}) + "\n")
    words = ["--destination", "/out", "--output", "9x", "--no-probe", "--json"]
    said = farm("plan", "--manifest", manifest, *words)
    assert said.out.isascii()
    assert json.loads(said.out)["source"] == "/in/\x85\u202e\x1b[31m.mp4"


def test_a_missing_manifest_is_the_callers_error(farm: Farm, tmp_path: Path) -> None:
    words = ["--destination", "/out", "--output", "9x", "--no-probe"]
    said = farm("plan", "--manifest", tmp_path / "none.jsonl", *words)
    assert said.code == 2
    assert "none.jsonl" in said.err


def test_plans_a_storyboard(farm: Farm, archive: Path) -> None:
    words = ("plan", "--manifest", archive, "--destination", "/out", "--output")
    spec = "64x48,kind=storyboard,interval=40,sheets=true,filename={id}-%d.jpg"
    said = farm(*words, spec)
    assert said.out.splitlines()[2:7] == [
        "   64x48,kind=storyboard,filename={id}-%d.jpg,interval=40,sheets=true"
        "  box 0,0 to 320,240 -> 64x48",
        "     0.000 s keyframe  a tile",
        "     40.000 s keyframe  a tile",
        "     80.000 s keyframe  a tile",
        "     /out/good.vtt",
    ]
    good = json.loads(farm(*words, spec, "--json").out.splitlines()[0])
    assert good["outputs"][0]["files"] == [{"key": "good.vtt", "uri": "/out/good.vtt"}]
    unprobed = farm(*words, spec, "--no-probe").out.splitlines()
    assert unprobed[2:4] == ["     /out/good-1.jpg", "     /out/good.vtt"]
