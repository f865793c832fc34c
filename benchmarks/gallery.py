"""Make the gallery of the site: run examples, and keep the picture and the text that each makes.

    python -m benchmarks.gallery [eight_schools mixture ...]

This runs `examples/NAME.py` and writes `docs/pictures/gallery/NAME.png` and `NAME.txt`.
"""

import io
import runpy
import sys
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"


def main(names: list[str]) -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    plt.style.use(Path(__file__).with_name("site.mplstyle"))
    (PICTURES / "gallery").mkdir(exist_ok=True)
    for name in names or sorted(path.stem for path in (ROOT / "examples").glob("*.py")):
        began, printed = time.process_time(), io.StringIO()
        plt.close("all")
        with redirect_stdout(printed):
            runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
        save(plt.gcf(), f"gallery/{name}")
        (PICTURES / "gallery" / f"{name}.txt").write_text(trimmed(printed.getvalue()))
        print(printed.getvalue(), f"{name}: {time.process_time() - began:.0f} s of CPU", flush=True)


def trimmed(text: str) -> str:
    """Return text without the spaces at the ends of its lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def save(figure, name: str) -> None:
    """Save a figure as a picture of 128 colors, some 20 kB."""
    pixels = io.BytesIO()
    figure.savefig(pixels, bbox_inches="tight")
    colors = Image.open(pixels).convert("RGBA").quantize(128, method=Image.Quantize.FASTOCTREE)
    colors.save(PICTURES / f"{name}.png", optimize=True)
    plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])
