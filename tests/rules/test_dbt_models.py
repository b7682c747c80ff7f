"""Rules over the dbt graph: models are described, typed, keyed and tested."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

from perennial.settings import LAYERS

CONTRACTED = ("marts", "features")
MADE_WHOLE = {("view", None), ("incremental", "truncate_all"), ("incremental", "replace_all")}
RULED = ("staging", "intermediate", "marts")
# Macros that these models use and that no row of a table follows from.
NOT_OF_RULES = {
    # which rows a build makes anew, and how
    *("as_of_date", "built_relation", "is_changed", "made_once"),
    # of rejects, which are made anew whole by each build, or at each reading
    *("estimated_date", "unread_field", "unread_records"),
    # of int_sent_files too, which compares how its amounts were read
    *("estimated_amount", "estimated_number", "written"),
}


def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) > 25, "the manifest lacks models: a rule over nothing can't fail"
    return found


def test_every_model_and_column_is_described(manifest: dict[str, Any]) -> None:
    for model in models(manifest):
        assert model["description"].strip(), f"{model['name']}: no description"
        for column in model["columns"].values():
            assert column["description"].strip(), f"{model['name']}.{column['name']}"


def test_a_description_names_the_grain(manifest: dict[str, Any]) -> None:
    for model in models(manifest):
        assert "one row" in model["description"].lower(), f"{model['name']}: one row per what?"


def test_marts_and_features_have_enforced_contracts(manifest: dict[str, Any]) -> None:
    counts = Counter()
    for model in models(manifest):
        if model["schema"] in CONTRACTED:
            counts[model["schema"]] += 1
            assert model["config"]["contract"]["enforced"], model["name"]
            assert all(c["data_type"] for c in model["columns"].values()), model["name"]
    assert counts["marts"] >= 8
    assert counts["features"] >= 4


def test_schemas_are_the_seven_words(manifest: dict[str, Any]) -> None:
    for model in models(manifest):
        assert model["schema"] in LAYERS, model["name"]
        assert model["schema"] == model["fqn"][1], f"{model['name']}: folder and schema differ"


def test_views_that_are_looked_up_in_have_no_cte(manifest: dict[str, Any]) -> None:
    """Postgres plans a view with a CTE separately: it joins whole tables before a key lookup.

    Views that no table reads, directly or through other views, may have a CTE: gates read them
    whole. See docs/decisions/landing.md.
    """
    by_id = {model["unique_id"]: model for model in models(manifest)}
    unread = [m for m in by_id.values() if m["config"]["materialized"] != "view"]
    looked_up_in: dict[str, dict[str, Any]] = {}
    while unread:
        for parent in unread.pop()["depends_on"]["nodes"]:
            view = by_id.get(parent)
            if view and view["config"]["materialized"] == "view" and parent not in looked_up_in:
                looked_up_in[parent] = view
                unread.append(view)
    names = {view["name"] for view in looked_up_in.values()}
    assert {"int_order_lines", "int_sent_rows"} <= names
    for view in looked_up_in.values():
        if view["schema"] in ("staging", "intermediate"):
            assert not re.search(r"^with\b", view["raw_code"], re.MULTILINE), view["name"]


def test_every_table_has_a_key(manifest: dict[str, Any]) -> None:
    """A table has a primary key or a uniqueness test; not both: such a test could never fail."""
    keyed = [
        parent
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test"
        and (test.get("test_metadata") or {}).get("name", "").startswith("unique")
        for parent in test["depends_on"]["nodes"]
    ]
    for model in models(manifest):
        if model["schema"] in CONTRACTED:
            columns = [column["constraints"] for column in model["columns"].values()]
            constraints = itertools.chain(model["constraints"], *columns)
            kinds = [constraint["type"] for constraint in constraints]
            assert kinds.count("primary_key") + keyed.count(model["unique_id"]) == 1, model["name"]


def test_every_feature_model_plants_a_future_row(manifest: dict[str, Any]) -> None:
    tested = {
        parent for unit in manifest["unit_tests"].values() for parent in unit["depends_on"]["nodes"]
    }
    for model in models(manifest):
        if model["schema"] == "features":
            assert model["unique_id"] in tested, f"{model['name']}: no unit test"


def test_what_a_reporting_view_reads_is_never_rebuilt_under_it(manifest: dict[str, Any]) -> None:
    """A dbt `table` is dropped with cascade when it is rebuilt, and the view goes with it."""
    by_id = {model["unique_id"]: model for model in models(manifest)}
    views = [model for model in by_id.values() if model["schema"] == "reporting"]
    assert len(views) >= 11
    for view in views:
        for parent in view["depends_on"]["nodes"]:
            if parent in by_id and by_id[parent]["schema"] != "reporting":
                assert by_id[parent]["config"]["materialized"] == "incremental", (
                    f"reporting.{view['name']} reads {by_id[parent]['name']}"
                )


def test_no_model_reads_the_clock(manifest: dict[str, Any]) -> None:
    words = ("current_date", "current_timestamp", "now()", "localtimestamp", "clock_timestamp")
    for model in models(manifest):
        code = model["raw_code"].lower()
        assert not [word for word in words if word in code], model["name"]


def test_a_macro_that_rows_follow_from_is_part_of_the_rules(manifest: dict[str, Any]) -> None:
    """Else rows of its old text would stay beside those of the new (macros/rules.sql)."""
    macros = {
        key.removeprefix("macro.perennial."): macro
        for key, macro in manifest["macros"].items()
        if key.startswith("macro.perennial.")
    }

    def called_from(names: set[str]) -> set[str]:
        found: set[str] = set()
        while names:
            found |= names
            called = {c for n in names for c in macros[n]["depends_on"]["macros"]}
            names = {c.removeprefix("macro.perennial.") for c in called} & set(macros) - found
        return found

    ruled = [model for model in models(manifest) if model["schema"] in RULED]
    used = {
        macro.removeprefix("macro.perennial.")
        for model in ruled
        for macro in model["depends_on"]["macros"]
    } & set(macros)
    listed = set(re.findall(r"\w+", macros["rules"]["macro_sql"])) & set(macros)
    assert len(used) > 15
    assert called_from(used) - called_from(listed) <= NOT_OF_RULES
    rejects = {
        model["name"]: (model["config"]["materialized"], model["config"]["incremental_strategy"])
        for model in ruled
        if "macro.perennial.unread_records" in model["depends_on"]["macros"]
    }
    assert rejects
    assert set(rejects.values()) <= MADE_WHOLE, rejects
