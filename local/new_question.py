"""`make new-question NAME= ENTITY= KIND=`: the files of a question that runs and passes its tests.

Only new files are written: the contract, the reporting views, feature models where the entity has
none, the code, a test. What the question asks is a placeholder, to be replaced.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from perennial import contracts, entities
from perennial.entities import CUSTOMER, Entity
from perennial.settings import REPOSITORY, SettingsError

SKELETON = Path(__file__).parent / "question_skeleton"
# A relation's name may have 63 letters; the longest is <name>_history_<year>_<month> or more.
NAME = re.compile("[a-z][a-z0-9_]{1,28}[a-z0-9]")
# Keys that the order lines have: facts about them can be counted.
LINE_KEYS = {"customer_id", "product_id", "order_id"}
LOOKBACK = {
    "horizons": ", horizons_days: [30], lookback: true",
    "lookback_import": "from ml_tasks.lookback.probabilities import figures_of\n",
    "lookback_attributes": '    tested_days = 30\n    headline = "auc"\n',
    "lookback_figures": '''
    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """How good past scores were; whoever did not order has no `happened_days`."""
        is_back = (rows["happened_days"] <= horizon_days).to_numpy(dtype=float)
        return figures_of(is_back, rows["order_probability_30d"], "order_rate")
''',
}
NO_LOOKBACK = {
    "horizons": "",
    "lookback_import": "",
    "lookback_attributes": '    headline = "log_loss"\n',
    "lookback_figures": "",
}
NEXT = """made the question {name}: {count} files. Now
  1. say in dbt_project/models/scores/{name}.yml what it asks and what its columns mean
  2. write what it learns, or its rules, in ml_tasks/{name}/run.py
  3. make test ONLY=tests/unit/test_{name}.py, and make run AGAIN=yes scores it
docs/contributing.md has the rest."""


def new_question(name: str, entity: str, kind: str, root: Path = REPOSITORY) -> str:
    """Write the skeleton.

    Args:
        name: Of the question, its table, its views, its folder.
        entity: What a row is about; one of perennial/entities.
        kind: predicts, describes or rules.
        root: The repository to write into.

    Returns:
        What to do next, in words.

    Raises:
        SettingsError: If one of them can't be, or a file is there already; nothing is written then.
    """
    found = _checked(name, entity, kind)
    files = {root / path: text for path, text in _files(name, found, kind).items()}
    for path in files:
        if path.exists():
            raise SettingsError(f"NAME={name}: {path} is there already, and is not overwritten")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return NEXT.format(name=name, count=len(files))


def _checked(name: str, entity: str, kind: str) -> Entity:
    if not NAME.fullmatch(name) or "__" in name or keyword.iskeyword(name):
        raise SettingsError(
            f"NAME={name!r} can't be a question: 3 to 30 small letters, digits and single _, a"
            " letter first; such as NAME=next_basket"
        )
    if kind not in contracts.KINDS:
        raise SettingsError(f"KIND={kind!r}: choose one of {', '.join(contracts.KINDS)}")
    try:
        return entities.load(entity)
    except entities.EntityError as error:
        raise SettingsError(f"ENTITY={entity!r}: {error}") from None


def _files(name: str, entity: Entity, kind: str) -> dict[str, str]:
    """Path in the repository -> text."""
    fields = _fields(name, entity, kind)

    def filled(template: str) -> str:
        return Template((SKELETON / f"{template}.tmpl").read_text()).substitute(fields)

    models = "dbt_project/models"
    found = {
        f"{models}/scores/{name}.yml": filled("contract.yml"),
        f"{models}/reporting/{name}.sql": filled("reporting.sql"),
        f"{models}/reporting/{name}_history.sql": filled("reporting_history.sql"),
        f"ml_tasks/{name}/__init__.py": filled("init.py"),
        f"ml_tasks/{name}/run.py": filled(f"run.{kind}.py"),
        f"tests/unit/test_{name}.py": filled(f"test.{kind}.py"),
    }
    parts = []
    if entity.name != CUSTOMER:
        parts.append(("facts", "" if LINE_KEYS.issuperset(entity.key) else "_stub"))
    if kind == contracts.PREDICTS:
        parts.append(("outcomes", ""))
    for part, variant in parts:
        of_part = f"{models}/features/{name}_{part}"
        found[f"{of_part}.sql"] = filled(f"{part}{variant}.sql")
        found[f"{of_part}.yml"] = filled(f"{part}.yml")
        found[f"{of_part}__unit_tests.yml"] = filled(f"{part}{variant}__unit_tests.yml")
    return found


def _fields(name: str, entity: Entity, kind: str) -> dict[str, str]:
    """What the templates' places stand for."""
    key, is_customer = entity.key, entity.name == CUSTOMER
    facts = "customer_snapshots" if is_customer else f"{name}_facts"
    outcomes = [f"{name}_outcomes"] if kind == contracts.PREDICTS else []
    title = name.replace("_", " ").capitalize()
    columns = "".join(
        f"          - name: {column}\n            data_type: text\n"
        f"            description: {entity.description}\n"
        for column in key
    )
    width = max(len(f"features.{one}") for one in [facts, *outcomes])
    values = Template((SKELETON / f"values.{kind}.tmpl").read_text()).substitute()
    shown = re.findall(r"- name: (\w+)", values)[0]
    return {
        "name": name,
        "title": title,
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "kind": kind,
        "entity": entity.name,
        "asks": f"{title}? (To be written.)",
        "keys": ", ".join(key),
        "key_list": ", ".join(f'"{column}"' for column in key),
        "key_columns": columns.rstrip("\n"),
        "value_columns": values.rstrip("\n"),
        "feature_key_columns": _feature_columns(entity),
        "may_be_empty": "" if entity.covered else "\n            may_be_empty: true",
        "in_customer_360": f"\n            in_customer_360: [{shown}]" if is_customer else "",
        "depends_on": ", ".join(f"ref('{one}')" for one in [facts, *outcomes]),
        "facts": facts,
        "pad": " " * (width - len(f"features.{facts}") + 1),
        "pad_outcomes": " " * (width - len(f"features.{name}_outcomes") + 1),
        "pad_scores": " " * max(width - len(f"scores.{name}") + 1, 1),
        "test_keys": ", ".join(f'"{column}": ["a", "b"]' for column in key),
        "planted_keys": ", ".join(f"{column}: A" for column in key),
        **_sql_fields(key),
        **(LOOKBACK if is_customer and kind == contracts.PREDICTS else NO_LOOKBACK),
    }


def _sql_fields(key: tuple[str, ...]) -> dict[str, str]:
    lines = [f"lines.{column}" for column in key]
    known = [f"known.{column}" for column in key]
    return {
        "keys_not_null": " and ".join(f"{column} is not null" for column in key),
        "lines_keys": ",\n".join(f"    {one}" for one in lines),
        "lines_keys_deep": ",\n".join(f"        {one}" for one in lines),
        "lines_keys_line": ", ".join(lines),
        "known_keys": ",\n".join(f"    {one}" for one in known),
        "known_keys_line": ", ".join(known),
        "known_join": "\n".join(
            f"        and {one} = {other}" for one, other in zip(known, lines, strict=True)
        ),
        "stub_keys": ",\n".join(f"    null::text as {column}" for column in key),
    }


def _feature_columns(entity: Entity) -> str:
    return "\n".join(
        f"      - name: {column}\n        data_type: text\n"
        f"        description: {entity.description}\n        constraints: [{{type: not_null}}]"
        for column in entity.key
    )
