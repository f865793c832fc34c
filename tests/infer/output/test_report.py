"""A report is one HTML file that says what a result holds, and loads nothing."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray
from matplotlib import pyplot

import bijectors as bj
import infer
from infer.numerics.families.mean_field import IndependentNormal
from infer.output.data.versions import as_arviz
from infer.output.report import plots

CHAINS, DRAWS = 2, 50
NASTY = '<b>&"s$_^$'
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Parsed(HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def all(self, tag):
        return [attributes for found, attributes in self.tags if found == tag]

    @property
    def text(self):
        return " ".join(self.texts)


def result(values=None, stats=None, verdict: str | None = "", more=None, **attributes):
    """Make a result without sampling; values have the shape (chains, draws, ...)."""
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=(CHAINS, DRAWS))} if values is None else values
    datasets = {"posterior": values, "sample_stats": stats or {}}
    groups = {
        group: xarray.Dataset(
            {n: (("chain", "draw", *(f"{n}_{i}" for i in range(np.ndim(a) - 2))), a)
             for n, a in arrays.items()}
        )
        for group, arrays in datasets.items()
        if arrays
    }  # fmt: skip
    attributes |= {} if verdict is None else {"verdict": verdict}
    return as_arviz(groups | (more or {}), attributes)


def read(data, path, **settings):
    return Parsed(infer.report(data, path, **settings).read_text("utf-8"))


@pytest.fixture
def quick(monkeypatch):
    """Draw nothing."""
    monkeypatch.setattr(plots, "_draw_png", lambda draw: b"picture")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Draw a report with all sections of a bad run."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(CHAINS, DRAWS)) + np.arange(CHAINS)[:, None] * 5
    stats = {"diverging": x > 5, "energy": rng.normal(size=x.shape).cumsum(1)}
    observed = xarray.Dataset({NASTY: ("row", np.arange(4.0))})
    predicted = xarray.Dataset(
        {NASTY: (("chain", "draw", "row"), rng.normal(size=(CHAINS, DRAWS, 4)))}
    )
    data = result(
        {NASTY: x, "y": np.exp(4 * rng.normal(size=(CHAINS, DRAWS, 2)))},
        stats,
        "the chains do not agree.\nsome diverged: <a>.",
        {"observed_data": observed, "posterior_predictive": predicted},
        engine=f"NUTS({NASTY})",
        sampling_seconds=3.0,
        compile_seconds=1.0,
    )
    before = set(pyplot.get_fignums())
    page = read(data, tmp_path_factory.mktemp("report") / "bad.html", title=f"On {NASTY}")
    page.figures_left_open = set(pyplot.get_fignums()) - before
    return page


def test_the_sections_of_a_whole_result_are_there_and_linked(whole):
    names = ["verdict", "summary", "chains", "energy", "divergences", "predictive-checks"]
    names += ["timing", "provenance"]
    assert [section["id"] for section in whole.all("section")] == names
    assert [link["href"] for link in whole.all("a")] == [f"#{name}" for name in names]
    assert whole.open == []
    assert [h for h, _ in whole.tags if h in ("h1", "h2")] == ["h1"] + ["h2"] * 8


def test_every_plot_is_inside_the_file_and_described(whole):
    """Ranks, traces, energy, pairs of what diverged, and one predictive check."""
    images = whole.all("img")
    assert len(images) == 5, whole.text
    assert all(image["src"].startswith("data:image/png;base64,iVBOR") for image in images)
    assert all(len(image["alt"]) > 20 for image in images)


def test_nothing_is_loaded_and_nothing_runs(whole):
    tags = {tag for tag, _ in whole.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    policy = next(m["content"] for m in whole.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'")
    references = [a[n] for _, a in whole.tags for n in ("src", "href", "srcset") if n in a]
    assert all(r.startswith(("data:image/png", "#")) for r in references)
    assert not any("url(" in a.get("style", "") for _, a in whole.tags)


def test_names_and_messages_are_escaped(whole):
    assert "b" not in {tag for tag, _ in whole.tags}
    assert "some diverged: <a>." in whole.text
    assert f"On {NASTY}" in whole.texts
    assert f"NUTS({NASTY})" in whole.text


def test_findings_are_listed_and_bad_numbers_marked(whole):
    assert "2 problems were found." in whole.text
    assert len(whole.all("li")) == 8 + 2
    assert any(cell.get("class") == "bad" for cell in whole.all("td"))
    assert "largest R-hat" in whole.text


def test_no_figure_is_left_open(whole):
    assert whole.figures_left_open == set()


def test_a_good_result_says_so_and_an_unjudged_one_too(quick, tmp_path):
    assert "No problems found." in read(result(), tmp_path / "a.html").text
    unseen = {"verdict_not_checked": "Modes were not looked for."}
    assert unseen["verdict_not_checked"] in read(result(**unseen), tmp_path / "c.html").text
    unjudged = read(result(verdict=None), tmp_path / "b.html")
    assert "Nobody has judged these draws" in unjudged.text
    assert "No problems" not in unjudged.text


def test_small_numbers_keep_their_digits(quick, tmp_path):
    values = {"x": 1.5e-8 + 1e-11 * np.random.default_rng(0).normal(size=(CHAINS, DRAWS))}
    assert "1.5e-08" in read(result(values), tmp_path / "a.html").text


def test_of_many_quantities_the_worst_are_shown(quick, tmp_path):
    x = np.random.default_rng(0).normal(size=(CHAINS, DRAWS, 100))
    x[1, :, 7] += 5
    text = read(result({"x": x, "fixed": np.ones((CHAINS, DRAWS))}), tmp_path / "a.html").text
    assert "60 of 100 quantities are shown" in text
    assert "6 worst of 100" in text
    assert "1 of 101 quantities are constant" in text
    assert "x[7]" in text


def test_of_several_data_sets_the_worst_is_shown_and_named(quick, tmp_path):
    x = np.random.default_rng(0).normal(size=(CHAINS, DRAWS, 3))
    x[1, :, 2] += 5
    groups = {"posterior": xarray.Dataset({"x": (("chain", "draw", "dataset"), x)})}
    data = as_arviz(groups, {"verdict": ""})
    assert "data set 2, the one with the largest R-hat" in read(data, tmp_path / "a.html").text
    text = read(data, tmp_path / "a.html", dataset=1).text
    assert "data set 1;" in text
    for wrong in (3, -1, 1.5):
        with pytest.raises(infer.RunError, match="dataset"):
            infer.report(data, tmp_path / "a.html", dataset=wrong)


def test_one_chain_and_few_draws_are_reported(quick, tmp_path):
    read(result({"x": np.random.default_rng(0).normal(size=(1, 200))}), tmp_path / "a.html")
    read(result({"x": np.arange(4.0).reshape(2, 2)}), tmp_path / "a.html")
    fixed = read(result({"x": np.ones((2, 20))}), tmp_path / "a.html").text
    assert "No quantity varies." in fixed


def test_a_fit_is_reported_with_its_findings(quick, tmp_path):
    density = infer.log_density(infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()}))
    normal = IndependentNormal(jnp.zeros(1), jnp.ones(1))
    fit = infer.Approximation(density, normal, "mean_field", np.ones(1), 5.0, False, {})
    for given in (fit, fit.sample(100)):
        text = read(given, tmp_path / "a.html").text
        assert "independent draws of an approximation" in text
        assert "below the initial" in text


def groups(site, y):
    level = site("level", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(level, 1.0), y)


@pytest.fixture(scope="module")
def predicted():
    """Make a result with log likelihoods, predictions and prior draws by the calls that do so."""
    model = infer.model(groups, y=np.linspace(-1.0, 2.0, 8))
    options = {"chains": CHAINS, "draws": DRAWS, "warmup": 50, "key": 0, "progress": False}
    data = infer.sample(model, infer.NUTS(), include="log_likelihood", **options)
    return infer.sample_prior(model, 40, extend=infer.predict(model, data))


def test_real_predictions_and_leave_one_out_are_shown(predicted, tmp_path):
    """Plots of ranks, traces, energy, and two predictive checks; ArviZ's text on leave-one-out."""
    page = read(predicted, tmp_path / "a.html")
    titles = [image["alt"] for image in page.all("img")]
    assert len(titles) == 5, page.text
    assert all(
        any(f"drawn from the {which}." in title for title in titles)
        for which in ("posterior", "prior")
    )
    assert "Leave-one-out for y" in page.text
    assert "elpd_loo" in page.text
    assert f"{CHAINS * DRAWS} posterior samples and 8 observations" in page.text


def test_a_leave_one_out_that_fails_says_so_in_its_place(quick, monkeypatch, tmp_path):
    def fail(*given, **more):
        raise ValueError("no <such> rows")

    monkeypatch.setattr("infer.output.report.file.az.loo", fail)
    likelihood = xarray.Dataset({"y": (("chain", "draw", "row"), np.ones((CHAINS, DRAWS, 3)))})
    text = read(result(more={"log_likelihood": likelihood}), tmp_path / "a.html").text
    assert "ArviZ could not compute it (ValueError: no <such> rows)." in text


def test_a_plot_that_fails_says_so_in_its_place(quick, monkeypatch, tmp_path):
    def fail(draw):
        raise ValueError("no <such> axis")

    monkeypatch.setattr(plots, "_draw_png", fail)
    parsed = read(result(), tmp_path / "a.html")
    assert "could not draw this plot (ValueError: no <such> axis)" in parsed.text
    assert not parsed.all("img")


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"posterior": 1}, "a.html", "dict given has no group"),
        (np.zeros(3), "a.html", "ndarray given has no group"),
        (as_arviz({"prior": xarray.Dataset({"x": 1.0})}, {}), "a.html", "no group `posterior`"),
        (as_arviz({"posterior": xarray.Dataset({"x": 1.0})}, {}), "a.html", "chains and draws"),
        (result({"x": np.ones((2, 0))}), "a.html", "no draws"),
        (result(), "none/a.html", "does not exist"),
        (result(), ".", "is a folder"),
    ],
)
def test_what_is_no_result_is_refused(data, path, message, tmp_path):
    with pytest.raises(infer.RunError, match=message):
        infer.report(data, tmp_path / path)


def test_the_extra_is_named_if_matplotlib_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(infer.RunError, match=r"pushforward\[report\]"):
        infer.report(result(), tmp_path / "a.html")


def funnel(site):
    scale = site("log_scale", dist.Normal(0.0, 3.0))
    site("x", dist.Normal(0.0, jnp.exp(scale / 2)), shape=(9,), centered=True)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.filterwarnings("ignore::infer.SamplingWarning")
@pytest.mark.parametrize("is_bad", [False, True])
def test_chromium_shows_the_report_of_a_run(is_bad, tmp_path):
    """The page's own text is in the browser's document, and the pictures have a size."""
    model = funnel if is_bad else lambda site: site("x", dist.Normal(0.0, 1.0))
    data = infer.sample(infer.model(model), infer.NUTS(metric="euclidean"), progress=False)
    path = infer.report(data, tmp_path / "report.html")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'user'}", "--window-size=1000,5000",
    ]  # fmt: skip
    shot = tmp_path / "page.png"
    command = [str(CHROMIUM), *options, f"--screenshot={shot}", path.as_uri()]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    from matplotlib import image

    pixels = image.imread(shot)[..., :3]
    assert pixels.shape == (5000, 1000, 3)
    # The box of the verdict has a border on the left in its color.
    color = np.array([0xA4, 0x0E, 0x26] if is_bad else [0x11, 0x63, 0x29]) / 255
    assert (np.abs(pixels - color).max(-1) < 0.02).sum() > 100
    # The plots are below it, and have the color of chain 0.
    assert (np.abs(pixels[500:] - np.array([0x00, 0x72, 0xB2]) / 255).max(-1) < 0.02).sum() > 1000
