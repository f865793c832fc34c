"""Show the reports of a good and of a bad run in Chromium; make the picture of docs/report.md.

    python -m benchmarks.report_picture [--whole FOLDER]

Writes docs/pictures/report.png, the head of the report on a centered funnel. With `--whole`, the
whole reports of that run, and of eight schools with predictions and log likelihoods, are written to
a folder, as HTML and as pictures, to be looked at.
"""

import argparse
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import infer
from benchmarks.hard_posteriors import GOOD, HARD

PICTURE = Path(__file__).parents[1] / "docs/pictures/report.png"
# Width and height of the picture in the docs, and of the pictures of whole reports.
HEAD, WHOLE = (1000, 1110), (1000, 4600)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
)  # fmt: skip


def photograph(page: Path, picture: Path, size: tuple[int, int]) -> None:
    """Take a picture of the top of a page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is not installed.")
    with TemporaryDirectory() as folder:
        mine = (f"--user-data-dir={folder}", "--window-size={},{}".format(*size))
        command = [chromium, *OPTIONS, *mine, f"--screenshot={picture}", page.resolve().as_uri()]
        subprocess.run(command, check=True, timeout=120, capture_output=True)


def report_bad(folder: Path) -> Path:
    data = infer.sample(HARD["centered funnel"].model(), key=1, progress=False)
    return infer.report(data, folder / "bad.html", title="A centered funnel")


def report_good(folder: Path) -> Path:
    model = GOOD["eight schools, non-centered"]()
    data = infer.sample(model, key=2, include="log_likelihood", progress=False)
    data = infer.sample_prior(model, extend=infer.predict(model, data))
    return infer.report(data, folder / "good.html", title="Eight schools")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", infer.SamplingWarning)
    with TemporaryDirectory() as temporary:
        folder = asked.whole or Path(temporary)
        folder.mkdir(exist_ok=True)
        bad = report_bad(folder)
        photograph(bad, PICTURE, HEAD)
        # Sixteen colors: 60 kB instead of 200.
        Image.open(PICTURE).convert("RGB").quantize(16).save(PICTURE, optimize=True)
        for page in (bad, report_good(folder)) if asked.whole else ():
            photograph(page, page.with_suffix(".png"), WHOLE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
