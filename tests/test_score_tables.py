"""Tables of all networks' scores, what is read off them, and benchmarks of the user's own."""

import gzip
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import PlainNet
from benchmarks import nas_bench_201, nas_bench_macro, score_tables
from benchmarks.benchmark_files import open_benchmarks
from benchmarks.proxy_report import OUTPUT, parse_options
from benchmarks.proxy_report import main as report
from benchmarks.report_benchmarks import GROWTH
from benchmarks.report_rows import Candidate, candidates
from benchmarks.report_scores import Scores
from benchmarks.report_winners import ORACLE, RANDOM, winner_rows
from benchmarks.score_benchmarks import main as score_benchmarks
from benchmarks.score_tables import ScoreTable, read_table
from benchmarks.structure_table import StructureTable, read_structures
from gsnet.interface.options import InputError
from ZeroShotProxy import ScoringSettings

DATA = Path(os.environ.get("GSNET_DATA", Path(__file__).parent.parent.parent / "shared/data"))
STRUCTURES = [f"SuperConvK3BNRELU(3,{c},1,1)SuperResK3K3({c},16,2,8,{n})" for c in (8, 16, 24) for n in (1, 2)]


def data_file(name):
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is not here (GSNET_DATA names its folder)")
    return DATA / name


@pytest.fixture
def mine(tmp_path):
    """A table of six networks, the accuracies in the order of the list."""
    path = tmp_path / "mine.csv"
    rows = [f'"{structure}",{60 + place}' for place, structure in enumerate(STRUCTURES)]
    path.write_text("\n".join(["structure,accuracy", *rows]) + "\n")
    return path


@pytest.fixture
def signals():
    """Handlers of signals as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_table_comes_back_with_seven_digits(tmp_path):
    names = ["c", "a", "d", "b"]
    scores = {"a": 1 / 3, "b": -math.inf, "c": 1.5e-9}
    table = ScoreTable("B", "P", scores, 4, 12.3456, failures={"why": 1})
    path = table.write(tmp_path, names)
    assert gzip.decompress(path.read_bytes()).decode().splitlines()[1:] == ["0.3333333", "-inf", "1.5e-09", ""]
    found = read_table(tmp_path, "B", "P", names)
    assert found.scores == pytest.approx(scores, rel=1e-6)
    assert (found.milliseconds, found.failures, found.complete) == (12.3, {"why": 1}, False)
    # The same scores make the same bytes, whenever they are written.
    before = path.read_bytes()
    assert found.write(tmp_path, names).read_bytes() == before
    assert read_table(tmp_path, "B", "Other", names) is None
    with pytest.raises(InputError, match="scores of 4 networks, and B has 3"):
        read_table(tmp_path, "B", "P", names[:3])
    path.write_bytes(before[:-9])
    with pytest.raises(InputError, match="no table of scores"):
        read_table(tmp_path, "B", "P", names)


def test_scoring_goes_on_from_the_table_of_another_machine(tmp_path, signals, capsys):
    data_file(nas_bench_macro.FILE)
    common = ["--proxy", "PerturbationClosedForm", "--benchmark", "NAS-Bench-Macro", "--nice", "0"]
    common += ["--benchmark_file", str(DATA / nas_bench_macro.FILE), "--output_dir", str(tmp_path / "tables")]
    assert score_benchmarks([*common, "--limit", "20", "--cache_dir", str(tmp_path / "here")]) == 0
    assert "20 of 6,561 networks" in capsys.readouterr().out
    assert score_benchmarks([*common, "--limit", "50", "--cache_dir", str(tmp_path / "there")]) == 0
    # What the first run scored was not scored again.
    made = (tmp_path / "there/NAS-Bench-Macro/PerturbationClosedForm.csv").read_text().splitlines()
    assert len(made) == 1 + 30
    assert score_benchmarks([*common, "--limit", "50", "--cache_dir", str(tmp_path / "whole"), "--output_dir",
                             str(tmp_path / "other")]) == 0  # fmt: skip
    tables = [tmp_path / name / "NAS-Bench-Macro/PerturbationClosedForm.csv.gz" for name in ("tables", "other")]
    lines = [gzip.decompress(table.read_bytes()).splitlines()[1:] for table in tables]
    assert lines[0] == lines[1]


def test_scores_are_taken_from_the_table_at_seed_zero_alone(mine, tmp_path):
    benchmark = StructureTable(mine, ScoringSettings(8, 2, 10))
    known = dict.fromkeys(benchmark.keys, 5.0) | {benchmark.keys[0]: -math.inf}
    ScoreTable("mine", "NASWOT", known, 6, 40).write(tmp_path / "tables", benchmark.keys)
    scores = Scores(benchmark, tmp_path / "cache.csv", tmp_path / "tables")
    assert scores.covers("NASWOT") and scores.covers("Flops") and not scores.covers("MeCo")
    assert scores.entry(benchmark.keys[1], "NASWOT") == (5.0, "", 0.04)
    assert scores.entry(benchmark.keys[0], "NASWOT").reason == "no score"
    assert scores.entry(benchmark.keys[1], "NASWOT", seed=1).score != 5
    scores.close()


def test_winners_and_regret_by_hand(mine, tmp_path):
    benchmark = StructureTable(mine, ScoringSettings(8, 2, 10))
    # A proxy that orders the networks upside down, and one that knows nothing.
    for name, values in (("NASWOT", range(6, 0, -1)), ("MeCo", [0] * 6)):
        table = dict(zip(benchmark.keys, map(float, values), strict=True))
        ScoreTable("mine", name, table, 6).write(tmp_path, benchmark.keys)
    scores = Scores(benchmark, tmp_path / "cache.csv", tmp_path)
    chosen = [Candidate("NASWOT", ("NASWOT",), 6), Candidate("MeCo", ("MeCo",), 6)]
    rows = {(r.proxy, r.networks): r for r in winner_rows(scores, chosen, seeds=4_000, lengths=(2, 9))}
    assert {networks for _, networks in rows} == {2, 6}
    # The better of two of 60 … 65 is on average 60 + 2 * 7 / 3 - 1, the worse one 60 + 7 / 3 - 1.
    assert rows[ORACLE, 2].mean == pytest.approx(60 + 11 / 3, abs=0.06)
    assert rows["NASWOT", 2].mean == pytest.approx(60 + 4 / 3, abs=0.06)
    assert rows["MeCo", 2].mean == rows[RANDOM, 2].mean == pytest.approx(62.5, abs=0.06)
    for proxy, mean in ((ORACLE, 65), ("NASWOT", 60), ("MeCo", 62.5), (RANDOM, 62.5)):
        row = rows[proxy, 6]
        assert (row.mean, row.too_few, row.proxy_regret, row.seeds) == (mean, 0, 65 - mean, 1)
    assert rows["NASWOT", 2].too_few == pytest.approx(65 - rows[ORACLE, 2].mean)
    assert rows["NASWOT", 2].regret == pytest.approx(65 - rows["NASWOT", 2].mean)
    scores.close()


def test_published_aggregates_are_judged_where_their_members_are():
    limits = dict.fromkeys(["Flops", "AZ-NAS-Expressivity", "AZ-NAS-Progressivity", "AZ-NAS-Trainability", "Jacov"], 9)
    assert "AZ-NAS" in {c.name for c in candidates(limits, [])}
    assert "VKDNW-Aggregate" not in {c.name for c in candidates(limits, [])}


def test_published_figures_are_of_cells_without_dead_operations():
    """VKDNW's table 1 gives FLOPs .799 / .763 / .718, and GRAF counts 9,445 such cells."""
    rows = nas_bench_201.read_table(data_file(nas_bench_201.FILE))
    live = [row for row in rows if nas_bench_201.all_operations_count(nas_bench_201.parse_cell(row.cell))]
    assert len(live) == 9_445
    flops = [nas_bench_201.flops(nas_bench_201.parse_cell(row.cell)) for row in live]
    found = [spearmanr(flops, [row.accuracies[d] for row in live]).statistic for d in nas_bench_201.DATA_SETS]
    assert found == pytest.approx([0.799, 0.763, 0.718], abs=0.0015)


def test_the_tables_of_the_repository_are_those_of_the_benchmarks():
    files = [data_file(name) for name in (nas_bench_201.FILE, nas_bench_macro.FILE)]
    paths = sorted(score_tables.FOLDER.glob("*/*.csv.gz"))
    assert sum(path.stat().st_size for path in paths) < 3e6
    for benchmark in open_benchmarks(files):
        for path in (p for p in paths if p.parent.name == benchmark.name):
            table = read_table(score_tables.FOLDER, benchmark.name, path.name.removesuffix(".csv.gz"), benchmark.keys)
            # A limit is no aim, and not among the proxies.
            assert table.proxy in (*benchmark.proxies, GROWTH)
            values = np.array(list(table.scores.values()))
            assert not np.isnan(values).any() and np.isfinite(values).mean() > 0.9, path
            assert sum(table.failures.values()) == np.isinf(values).sum(), path


def test_a_table_of_ones_own_from_end_to_end(mine, tmp_path, capsys):
    options = ["--benchmark_file", str(mine), "--input_image_size", "8", "--seeds", "1", "--resamples", "10"]
    options += ["--proxies", "Flops,Params,NASWOT", "--ensemble", "Flops,NASWOT"]
    options += ["--cache_dir", str(tmp_path / "cache"), "--output_dir", str(tmp_path / "report")]
    mine.write_text((text := mine.read_text()).replace("SuperConv", "SuperConf"))
    with pytest.raises(InputError, match="No block is called"):
        report(options)
    assert not (tmp_path / "report").exists()
    mine.write_text(text)
    # Options stand in a file as well.
    (tmp_path / "report.toml").write_text('proxies = "Flops,Params,NASWOT"\nseeds = 1\n')
    assert options[4:6] == ["--seeds", "1"] and options[8:10] == ["--proxies", "Flops,Params,NASWOT"]
    assert report([*options[:4], *options[6:8], *options[10:], "--config", str(tmp_path / "report.toml")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("### mine, accuracy")
    parameters = [PlainNet.parse(structure).cost(8, 10).parameters for structure in STRUCTURES]
    assert f"| Params | {spearmanr(parameters, range(6)).statistic:.3f} " in out
    assert "**Oracle** | 65.00" in out and "published" not in out
    assert {p.name for p in (tmp_path / "report").iterdir()} >= {"winners.csv", "tables.md", "scatter_mine.png"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,accuracy\nx,1\n", "no column structure"),
        ("", "no column accuracy and structure"),
        ("structure,accuracy\nSuperConv(1),5\n", "line 2: "),
        (f'structure,accuracy\n"{STRUCTURES[0]}",good\n', "line 2: 'good' is no accuracy"),
        (f'structure,accuracy\n"{STRUCTURES[0]}",\n', "line 2: there is no accuracy"),
        (f"structure,accuracy\n{STRUCTURES[0]},50\n", "line 2: more values than columns: a structure has commas"),
        (f"structure;accuracy\n{STRUCTURES[0]};50\n", "must name both, with a comma between them"),
        (f'structure,accuracy\n"{STRUCTURES[0]}",nan\n', "line 2: 'nan' is no accuracy"),
        (f'structure,accuracy\n"{STRUCTURES[0]}",1\n"{STRUCTURES[0]}",2\n', "line 3: a structure comes twice"),
        (f'structure,accuracy\n"{STRUCTURES[0]}",1\n', "has 1 network: an order needs"),
        ("structure,accuracy\n" + "".join(f'"{s}",5\n' for s in STRUCTURES), "all accuracies are the same"),
        (
            "structure,accuracy\n" + "".join(f'"{s}",0.{i}\n' for i, s in enumerate(STRUCTURES)),
            "between 0 and 1, and percent are expected: multiply them by 100",
        ),
    ],
)
def test_bad_tables_are_refused_with_their_line(tmp_path, text, complaint):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_structures(path)


def test_a_table_has_scores_of_its_own_whatever_its_name_and_the_order_of_its_rows(mine, tmp_path, capsys):
    """Like a benchmark of the repository's tables; and a network keeps its score when others are added before it."""
    named = tmp_path / "NAS-Bench-Macro.csv"
    named.write_text(mine.read_text())
    options = ["--benchmark_file", str(named), "--input_image_size", "8", "--seeds", "1", "--resamples", "10"]
    options += ["--proxies", "Params,NASWOT", "--ensemble", "", "--cache_dir", str(tmp_path / "cache")]
    assert report([*options, "--output_dir", str(tmp_path / "report")]) == 0
    capsys.readouterr()
    settings = ScoringSettings(resolution=8, batch_size=4)
    one, other = StructureTable(mine, settings), StructureTable(mine, settings)
    other.keys = other.keys[::-1]
    key = one.keys[0]
    assert one.score(key, "NASWOT", 0) == other.score(key, "NASWOT", 0) != one.score(key, "NASWOT", 1)
    assert "GradientGrowth" not in one.proxies and "GrowthMargin" in one.proxies


def test_a_report_of_files_leaves_the_one_of_the_repository_alone(mine):
    assert parse_options(["--benchmark_file", str(mine)]).output_dir != parse_options([]).output_dir == OUTPUT


def test_tables_of_spreadsheets_and_compressed_ones_are_read(mine, tmp_path):
    text = mine.read_text()
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text.replace('",', '", ').encode()))
    expected = read_structures(mine)
    assert list(expected.values()) == [60, 61, 62, 63, 64, 65]
    assert read_structures(tmp_path / "bom.csv") == read_structures(tmp_path / "packed.csv.gz") == expected
    assert open_benchmarks([tmp_path / "packed.csv.gz"])[0].name == "packed"
