"""Make the pictures of a page of the documentation: the figures that its code draws, in order.

    python benchmarks/pictures.py predictions

This runs the Python blocks of `docs/predictions.md` and writes `docs/pictures/predictions_1.png`,
`predictions_2.png` and so on.
"""

import re
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.S)


def main(page: str) -> None:
    code = "\n".join(BLOCK.findall((DOCS / f"{page}.md").read_text()))
    exec(compile(code, f"{page}.md", "exec"), {"__name__": page})
    (DOCS / "pictures").mkdir(exist_ok=True)
    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.set_size_inches(6, 3)
        file = DOCS / "pictures" / f"{page}_{number}.png"
        figure.savefig(file, dpi=60, bbox_inches="tight", metadata={"Software": None})
        print(file.relative_to(DOCS.parent))


if __name__ == "__main__":
    main(sys.argv[1])
