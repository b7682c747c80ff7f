"""The gate's checks of a feature model follow from its properties only."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.features import ACROSS, column_rules
from expectations.rules import between, not_null, unique
from perennial import feature_models
from perennial.feature_models import FEATURES, FeatureModelError

PLAIN = """
models:
  - name: gaps
    config: {{meta: {{gated_on: [{gated_on}]}}}}
    constraints: [{{type: {constraint}, columns: [as_of_date, customer_id]}}]
    columns:
      - {{name: as_of_date, data_type: date, constraints: [{{type: not_null}}]}}
      - {{name: customer_id, data_type: text, constraints: [{{type: not_null}}]}}
      - {{name: gap_days, data_type: integer, config: {{meta: {{min: 1, {more}: 400}}}}}}
"""


def written(tmp_path: Path, **changes: str) -> Path:
    given = {"gated_on": "scored_date", "constraint": "primary_key", "more": "max", **changes}
    (tmp_path / "gaps.yml").write_text(PLAIN.format(**given))
    return tmp_path


def test_a_new_model_is_checked_by_its_properties_alone(tmp_path):
    (model,) = feature_models.load(written(tmp_path))
    assert (model.name, model.key) == ("gaps", ("as_of_date", "customer_id"))
    assert model.gated_on == ("scored_date",)
    assert column_rules(model) == [
        unique("as_of_date", "customer_id"),
        not_null("customer_id"),
        between("gap_days", 1, 400),
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"more": "maximum"}, "gap_days: unknown meta maximum"),
        ({"gated_on": "someday"}, ": gated_on has someday"),
        ({"constraint": "unique"}, ": lacks a primary_key"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path, changes, named):
    with pytest.raises(FeatureModelError, match=f"gaps.yml, model gaps.*{named}"):
        feature_models.load(written(tmp_path, **changes))


def test_every_feature_model_of_ours_is_gated_and_every_rule_has_a_model():
    names = {model.name for model in feature_models.load()}
    assert names == {path.stem for path in FEATURES.glob("*.sql")}
    assert set(ACROSS) <= names
    assert all(model.gated_on for model in feature_models.load())
