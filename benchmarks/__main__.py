"""Compare Perennial with the alternatives, out of time, in one run: `make bench`.

Each part can be run alone (`ONLY=churn`), on your own shop (`DATA=folder`, in the canonical form),
or on a set of the panel of shops (`PANEL=tuning`, `validation` with `WHY=`, `final`). `FINAL=yes`
opens the reserved cuts and seeds. Results of the same code and data are reused from the workspace,
`.bench/`; delete it to compute everything again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path

import pandas as pd
import psutil
from rich.console import Console

from benchmarks import data as shops
from benchmarks import judge, results, warehouse
from benchmarks.code import RESULTS, commit, digest, imported, model_code
from benchmarks.data import Data
from benchmarks.judge import Judgement
from benchmarks.panel import looks, sets
from benchmarks.panel import shops as panel_shops
from benchmarks.questions import QUESTIONS as TABLES
from benchmarks.results import FIGURES, WORKSPACE, merged, sections
from benchmarks.summary import summary
from benchmarks.tables import OURS
from benchmarks.warehouse import Home
from perennial import contracts
from perennial.settings import REPOSITORY

PEERS = REPOSITORY / ".venv-bench" / "bin" / "python"
OTHERS = (
    *("cdnow", "cost", "probability", "landing", "publishing", "chain", "chain_dbt", "workers"),
    *("baskets", "recommendations"),  # peers and judge read order lines
)
# Module of the peers of each question; churn's and value's share their fits.
PEER_MODULES = {
    "churn": "customers",
    "clv": "customers",
    "survival": "survival",
    "demand": "demand",
    "stages": "stages",
    "segments": "segments",
    "next_order": "next_orders",
}
# The one network of these questions needs torch: it runs in our environment, on the peers' inputs.
DEEP_TABLES = {"churn": "customers", "clv": "customers", "next_order": "next_orders"}

QUESTIONS = tuple(PEER_MODULES)

console = Console()


def main(arguments: list[str] | None = None) -> int:
    """Run the selected parts and write results.md."""
    given = _parse(arguments)
    questions = [name for name in QUESTIONS if not given.only or name in given.only]
    # rules are not trained, so no peer can be better at them
    trained = [name for name in contracts.questions() if contracts.load(name).is_trained]
    if missing := sorted(set(trained) - {*QUESTIONS, *OTHERS}):
        console.print(f"No peers yet, so no table: {', '.join(missing)}")
    started = time.monotonic()
    if questions:
        _compare(questions, given)
    status = 0
    for name in OTHERS:
        is_asked = (
            name in given.only if given.only else not (given.data or given.final or given.panel)
        )
        if is_asked and importlib.util.find_spec(f"benchmarks.{name}"):
            console.rule(name)
            done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=REPOSITORY)
            status = status or done.returncode
    write_results()
    console.print(f"{RESULTS.relative_to(REPOSITORY)} after {time.monotonic() - started:,.0f} s")
    return status


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("--data", type=Path, help="a folder in the canonical form")
    parser.add_argument("--shop", help="one of the shops, by the beginning of its name")
    parser.add_argument("--shared", type=Path, default=shops.SHARED, help="the public data sets")
    parser.add_argument("--final", action="store_true", help="open the reserved cuts and seeds")
    parser.add_argument("--panel", choices=sets.SETS, help="a set of the panel of shops")
    parser.add_argument("--why", default="", help="what a look at shops that judge is for")
    given = parser.parse_args(arguments)
    unknown = set(given.only) - {*QUESTIONS, *OTHERS}
    if unknown:
        parser.error(f"ONLY takes {', '.join([*QUESTIONS, *OTHERS])}, not {', '.join(unknown)}")
    if given.data and not given.data.is_dir():
        parser.error(f"DATA={given.data} is not a folder")
    return given


def _compare(questions: list[str], given: argparse.Namespace) -> None:
    """Compare the questions on every shop and store the figures in the workspace."""
    WORKSPACE.mkdir(exist_ok=True)
    if given.panel:
        looks.note(
            given.panel,
            questions,
            [given.shop] if given.shop else ["all"],
            given.why,
            on=datetime.now(UTC).date(),
            commit=commit(),
        )
    rows: dict[str, list[pd.DataFrame]] = {}
    for data in _shops(given):
        if not any(_cuts(data, question) for question in questions) and not given.data:
            continue
        if not _is_there(data, given.shared):
            console.print(f"{data.group}: {data.files} is not there, left out")
            continue
        console.rule(data.name)
        with warehouse.home(data, WORKSPACE) as home:
            if given.data:
                home.data = shops.dated(data.files, *warehouse.order_days(home.settings))
            for name, frame in _judge(home, questions).items():
                rows.setdefault(name, []).append(frame)
    for name, frames in rows.items():
        _keep(name, pd.concat(frames, ignore_index=True), given)


def _shops(given: argparse.Namespace) -> list[Data]:
    if given.data:
        folder = given.data.absolute()
        return [Data(folder.name, folder.name, "canonical", folder)]
    if given.panel:
        listed = panel_shops.panel(given.panel, WORKSPACE, given.shared, commit())
    else:
        listed = shops.shops(WORKSPACE, given.shared, final=given.final)
    return [data for data in listed if data.name.startswith(given.shop or "")]


def _is_there(data: Data, shared: Path) -> bool:
    """True if the shop's files exist; generated shops are written first."""
    if data.seed is not None:
        from ingest.sample_shop.files import write_plan
        from ingest.sample_shop.plan import Plan

        if not data.files.exists():
            write_plan(Plan(data.seed, shops.SAMPLE_CUSTOMERS, shops.SAMPLE_DAYS), data.files)
    elif data.name == "rossmann" and not data.files.exists() and (shared / "rossmann").exists():
        from benchmarks import rossmann

        rossmann.write(shared / "rossmann", data.files)
    return data.files.exists()


def _cuts(data: Data, question: str) -> tuple[date, ...]:
    """The dates that a question is scored for."""
    match question:
        case "demand":
            return data.origins
        case "clv":
            return tuple(sorted({*data.cuts, *data.year_cuts}))
    return data.cuts


def _judge(home: Home, questions: list[str]) -> dict[str, pd.DataFrame]:
    """Build the home, run both sides, compare them; one frame of figures per table."""
    dates = sorted({cut for question in questions for cut in _cuts(home.data, question)})
    for number, day in enumerate(dates, 1):
        started = time.monotonic()
        if home.build(day):
            taken = time.monotonic() - started
            console.print(f"  {number}/{len(dates)} features of {day}: {taken:.0f} s")
    happened = home.outcomes()
    figures: dict[str, list[pd.DataFrame]] = {}
    for question in questions:
        cuts = [str(cut) for cut in _cuts(home.data, question)]
        for cut in cuts:
            home.export(happened, date.fromisoformat(cut))
            if question in DEEP_TABLES:
                home.export_families(date.fromisoformat(cut))
        sides = _run_sides(home, question, cuts) if cuts else []
        for cut in cuts:
            label = cut if home.data.seed is None else f"seed {home.data.seed} {cut}"
            of_cut = {"shop": home.data.name, "group": home.data.group, "cut": label}
            for name, judgement in _judgements(home, question, cut, happened, sides).items():
                rows_of_cut = judgement.figures.rename_axis("model").reset_index()
                rows_of_cut = rows_of_cut.assign(**of_cut, **_source(question))
                compared = judge.paired(judgement, OURS).assign(**of_cut)
                figures.setdefault(name, []).append(rows_of_cut)
                figures.setdefault(f"{name}.verdicts", []).append(compared)
    return {name: pd.concat(frames, ignore_index=True) for name, frames in figures.items()}


def _source(question: str) -> dict[str, str]:
    """Date, machine, code version and command of a figure."""
    gigabytes = psutil.virtual_memory().total / 2**30
    return {
        "source": f"{datetime.now(UTC):%Y-%m-%d} UTC, commit {commit()}, "
        f"model code {digest(model_code(question))}, {os.cpu_count()} cores, {gigabytes:.0f} GB, "
        f"{platform.system()}, Python {platform.python_version()}: "
        f"`{' '.join(['python -m benchmarks', *_without_folder(sys.argv[1:])])}`"
    }


def _without_folder(arguments: list[str]) -> list[str]:
    """The command's arguments, without this machine's folder of public data sets."""
    is_folder = [False, *(argument == "--shared" for argument in arguments)]
    return [
        argument
        for argument, is_value in zip(arguments, is_folder, strict=False)
        if not is_value and not argument.startswith("--shared")
    ]


def _run_sides(home: Home, question: str, cuts: list[str]) -> list[Path]:
    """Run the cuts missing in the workspace; return the sides' file stems with a `{cut}` field."""
    module = PEER_MODULES[question]
    folder = REPOSITORY / "benchmarks"
    peer_code = imported([folder / "peers" / f"{module}.py"], "benchmarks.peers")
    shared = [folder / "predictions.py"]
    peers = digest([*peer_code, *shared, folder / "requirements.txt"])
    ours = digest([*model_code(question), folder / "ours.py", folder / "own_segments.py", *shared])
    outputs = WORKSPACE / "outputs" / home.data.name
    sides = [
        ([str(PEERS), "-m", f"benchmarks.peers.{module}"], f"{module}-{peers}", home.input_digest),
        (
            [sys.executable, "-m", "benchmarks.ours", question],
            f"ours-{question}-{ours}",
            lambda _: home.folder.name,
        ),
    ]
    if table := DEEP_TABLES.get(question):
        command = [sys.executable, "-m", "benchmarks.peers.deep", table]
        files = [*imported([folder / "peers" / "deep.py"], "benchmarks.peers"), *shared]
        sides.append((command, f"deep-{table}-{digest(files)}", home.input_digest))
    for command, name, stamp in sides:
        stamps = {cut: stamp(cut) for cut in cuts}
        missing = [cut for cut in cuts if not _is_done(outputs / cut / name, stamps[cut])]
        for cut in missing:
            (outputs / cut).mkdir(parents=True, exist_ok=True)
            (outputs / cut / f"{name}.json").unlink(missing_ok=True)
            (outputs / cut / f"{name}.of").write_text(stamps[cut])
        if missing:
            console.print(f"  {question}, {name}: {len(missing)} cuts")
            subprocess.run(
                [*command, str(home.inputs), str(outputs), name, *missing],
                check=True,
                cwd=REPOSITORY,
                env=os.environ | _environment(home, is_peer="benchmarks.ours" not in command),
            )
    return [outputs / "{cut}" / name for _, name, _ in sides]


def _is_done(stem: Path, stamp: str) -> bool:
    """True if a side's file is complete and has this stamp of code and data."""
    files = [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("json", "of")]
    return all(file.exists() for file in files) and files[1].read_text() == stamp


def _environment(home: Home, *, is_peer: bool) -> dict[str, str]:
    """Environment of a side: ours includes its home, a peer's does not."""
    quiet = {"PYTHONWARNINGS": "ignore", "NIXTLA_ID_AS_COL": "1"}
    if is_peer:
        return quiet
    settings = home.settings
    return quiet | {
        "PERENNIAL_HOME": str(settings.home),
        "PERENNIAL_PG_PORT": str(settings.pg_port),
        "PERENNIAL_SOURCE": settings.source,
    }


def _judgements(
    home: Home, question: str, cut: str, happened: dict[str, pd.DataFrame], sides: Iterable[Path]
) -> dict[str, Judgement]:
    """Judgements of one cut by table, with each model's seconds."""
    stems = [str(side).format(cut=cut) for side in sides]
    predictions = pd.concat(
        [pd.read_parquet(f"{stem}.parquet") for stem in stems], ignore_index=True
    )
    seconds: dict[str, float] = {}
    for stem in stems:
        seconds |= json.loads(Path(f"{stem}.json").read_text())["seconds"]
    data, day, days = home.data, pd.Timestamp(cut), happened["customer_days"]
    tables = {}
    match question:
        case "churn":
            tables["churn"] = judge.churn(predictions[predictions["horizon_days"] == 0], days, day)
        case "clv":
            for name, horizon, cuts in (("clv", 90, data.cuts), ("clv_365", 365, data.year_cuts)):
                if day.date() in cuts:
                    of_horizon = predictions[predictions["horizon_days"] == horizon]
                    tables[name] = judge.clv(of_horizon, days, day, horizon)
        case "survival":
            known_days = (days["day_date"].max() - day).days + 1
            tables["survival"] = judge.survival(predictions, days, day, known_days)
        case "stages" | "segments":
            tables[question] = getattr(judge, question)(predictions, days, day)
        case "next_order":
            families = home.families(day.date())
            tables["next_order"] = judge.next_order(predictions, days, families, day)
        case "demand":
            known = happened.get("known_weeks")
            tables["demand"] = judge.demand(predictions, happened["product_weeks"], day, known)
            counts = predictions.dropna(subset="p50").groupby("model")["product_id"].nunique()
            seconds = {name: s * 1_000 / counts.get(name, 1_000) for name, s in seconds.items()}
    return {
        name: Judgement(judgement.figures.assign(seconds=pd.Series(seconds)), judgement.measures)
        for name, judgement in tables.items()
    }


def _keep(name: str, rows: pd.DataFrame, given: argparse.Namespace) -> None:
    """Store a table's figures or verdicts for results.md; rows of other shops stay."""
    kind = "final" if given.final else f"own-{given.data.name}" if given.data else "open"
    kind = f"panel-{given.panel}" if given.panel else kind
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{kind}.{name}.parquet"
    if path.exists():
        before = pd.read_parquet(path)
        # a generated shop of the panel has a different name for each seed
        by = "group" if given.panel else "shop"
        if by in before:
            rows = pd.concat([before[~before[by].isin(rows[by])], rows], ignore_index=True)
    rows.to_parquet(path)


def write_results() -> None:
    """Write results.md from everything in the workspace.

    Parts of the file that the workspace has no figures for stay as they are.
    """
    before = RESULTS.read_text() if RESULTS.exists() else ""
    lines = [HEAD, *_versions(), ""]
    kinds = {"open": OPEN, "final": _reserved()} | PANELS
    own = sorted({path.name.split(".")[0] for path in FIGURES.glob("own-*.parquet")})
    for kind in [*kinds, *own]:
        tables = _kept(kind)
        if not tables:
            continue
        lines += [kinds.get(kind, f"# {kind.removeprefix('own-')}\n")]
        if kind in PANELS and not (earlier_tables(before, kinds[kind]) - tables.keys()):
            lines += summary(tables)
        for name, (figures, verdicts) in tables.items():
            lines += results.section(name, TABLES[name], figures, verdicts)
    others = [FIGURES / f"{name}.md" for name in OTHERS if (FIGURES / f"{name}.md").exists()]
    if others:
        lines += ["# Cost, speed and published parameters\n"]
        lines += [text.read_text().rstrip() + "\n" for text in others]
    RESULTS.write_text(merged(before, "\n".join(lines)).rstrip() + "\n")


def earlier_tables(text: str, kind: str) -> set[str]:
    """Names of the tables in a part of results.md."""
    of_kind = sections(text, 1)[1].get(kind.splitlines()[0], "")
    return {name for name in TABLES if f"## {TABLES[name].name}" in sections(of_kind, 2)[1]}


def _kept(kind: str) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Figures and decided verdicts of each table in the workspace."""
    tables = {}
    for name in TABLES:
        figures, verdicts = (
            FIGURES / f"{kind}.{part}.parquet" for part in (name, f"{name}.verdicts")
        )
        if figures.exists() and verdicts.exists():
            decided = judge.decide(pd.read_parquet(verdicts), ["group", "measure"])
            tables[name] = (pd.read_parquet(figures), decided)
    return tables


def _reserved() -> str:
    shares = (
        shops.share_inside(shops.RESERVED_CUTS, shops.CUTS, shops.HORIZON_DAYS),
        shops.share_inside(shops.RESERVED_ORIGINS, shops.ORIGINS, 7 * shops.HORIZON_WEEKS),
    )
    return (
        "# Reserved cuts and seeds\n\nNothing was fitted to these dates, but of the days of their"
        f" windows {shares[0]:.0%} (customers) and {shares[1]:.0%} (demand) lie inside open ones,"
        " which were tuned on: they are no shop that was never seen.\n"
    )


HEAD = """\
# Benchmarks

Made by `make bench`; never edited by hand. Both sides see what was known before a cut and are
judged on what followed it. Each cell is the mean over the cuts ± its standard deviation. Where a
figure has a verdict, three counts follow: at how many cuts ours is better–a tie–worse than this
peer, by a paired bootstrap over the same customers (or series; 1,000 draws), Holm over all cuts and
peers of the shop at 5 %. Every customer with an order before the cut counts, an unscored one at the
base rate of the last horizon. Recipes of the peers stand below each table.
"""
OPEN = """\
# Open cuts

Every choice of the models was made on Online Retail II and the sample shop, and on these very cuts:
what is ahead here shows that the code does what it did, not what it does on another shop.
"""
PANELS = {
    "panel-tuning": "# Panel: tuning shops\n\nAnything was tuned on them; nothing counts as won.\n",
    "panel-validation": "# Panel: validation shops\n\nDesigns were chosen by them, not fitted to"
    " them; each look is in panel/looks.md.\n",
    "panel-final": "# Panel: final shops\n\nOpened once; each opening is in panel/looks.md.\n",
}


def _versions() -> list[str]:
    pinned = (REPOSITORY / "benchmarks" / "requirements.txt").read_text().split()
    names = ("lifetimes", "lifelines", "scikit-survival", "statsforecast", "xgboost",
             "scikit-learn", "pandas", "numpy")  # fmt: skip
    theirs = [pin.replace("==", " ") for pin in pinned if pin.split("==")[0] in names]
    ours = ("xgboost-cpu", "torch", "statsmodels", "lifelines")
    installed = [f"{name} {metadata.version(name)}" for name in ours]
    return [f"Peers: {', '.join(theirs)}.", f"Ours: {', '.join(installed)}."]


if __name__ == "__main__":
    raise SystemExit(main())
