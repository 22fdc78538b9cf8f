"""The pictures of docs/outputs.md are what the product makes today of the rows beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.documents import ROOT
from tests.inline_run import lanes, newest_records, run_inline
from tests.recipes import make_job, write_manifest

__all__ = ["lanes"]

ROWS = [json.loads(line) for line in (ROOT / "docs/site/pictures.jsonl").read_text().splitlines()]
NAMES = [output["filename"] for row in ROWS for output in row["outputs"]]


def test_each_is_small_and_shown() -> None:
    page = (ROOT / "docs/outputs.md").read_text()
    assert {"fit-max.webp", "fit-crop.webp", "fit-scale.webp", "fit-pad.webp"} < set(NAMES)
    for name in NAMES:
        assert (ROOT / "docs/images" / name).stat().st_size < 30_000
        assert f"(images/{name})" in page


@pytest.mark.usefixtures("lanes")
def test_the_product_makes_them(samples: Path, tmp_path: Path) -> None:
    for row in ROWS:
        row["source"] = row["source"].replace("../../build/samples", str(samples))
    write_manifest(tmp_path / "list.jsonl", ROWS)

    ledger = run_inline(tmp_path, make_job(tmp_path, outputs=()))

    assert [each.error_code for each in newest_records(ledger).values()] == [None, None]
    for name in NAMES:
        with (
            Image.open(tmp_path / "out" / name) as made,
            Image.open(ROOT / "docs/images" / name) as shown,
        ):
            assert made.size == shown.size
            off = np.abs(np.subtract(made.convert("RGB"), shown.convert("RGB"), dtype=np.int16))
            # Other versions of the codecs differ by little, another fit or frame by much.
            assert off.mean() < 3, name
