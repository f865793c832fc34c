"""The bar counts draws, and the divergences of the present phase alone."""

from infer.run.progress import Progress


def test_divergences_of_warmup_are_not_those_of_sampling(capsys):
    with Progress(20, shown=True) as bar:
        bar.phase("warm-up")
        bar.advance(10, divergences=7)
        bar.phase("sampling")
        bar.advance(10, divergences=2)
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "20/20" in shown
    assert "divergences=2" in shown


def test_a_hidden_bar_says_nothing(capsys):
    with Progress(20, shown=False) as bar:
        bar.phase("sampling")
        bar.advance(20, divergences=1)
    assert capsys.readouterr().err == ""


def test_a_bar_ends_full_after_a_warmup_that_ended_early(capsys):
    with Progress(100, shown=True) as bar:
        bar.phase("warm-up")
        bar.advance(30, divergences=0)
        bar.phase("sampling", left=20)
        bar.advance(20, divergences=0)
    assert "50/50" in capsys.readouterr().err.split("\r")[-1]
