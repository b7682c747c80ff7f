"""`make new-source NAME=`: a staging folder for a shop of its own form, which builds as it is.

The skeleton is the canonical source under another name, so it never falls behind what staging
needs: its yml, models, unit tests and the test that adds up the money. A shop that has the same
tables under other names edits the yml alone; where its rows mean something else, the models.
"""

from __future__ import annotations

import re
from pathlib import Path

from perennial.settings import REPOSITORY, SAMPLE_SHOP, SettingsError

MODEL = "canonical"
# A relation's name may have 63 letters, and the longest is stg_<name>__order_items_judged or more.
NAME = re.compile("[a-z][a-z0-9_]{0,28}[a-z0-9]")
TAKEN = (SAMPLE_SHOP, "ops", "raw", "staging", "shared")  # words that mean something else here

EXAMPLE = {
    "customers.csv": "customer_id,registered_at,country\nc1,2024-01-02T09:00:00,GB\nc2,,FR\n",
    "products.csv": "product_id,product_name,product_family,list_price_amount\n"
    "p1,Red mug,kitchen,4.50\np2,Tray,kitchen,8.00\n",
    "orders.csv": "order_id,customer_id,ordered_at,country,order_type,refunded_order_id\n"
    "o1,c1,2024-05-01T10:00:00,GB,sale,\no2,,2024-05-08T12:00:00,FR,sale,\n"
    "o3,c2,2024-05-20T19:30:00,FR,sale,\nr1,c1,2024-05-09T09:00:00,GB,refund,o1\n",
    "order_items.csv": "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
    "1,o1,p1,3,4.50,product\n2,o1,post,1,2.95,charge\n1,o2,p2,1,8.00,product\n"
    "1,o3,p1,1,4.50,product\n2,o3,p2,2,7.50,product\n1,r1,p1,1,4.50,product\n",
}

ENTRY = """      {name}:
        +enabled: "{{{{ env_var('PERENNIAL_DBT_SOURCE', 'canonical') == '{name}' }}}}"
"""
NEXT = """made {folder}: the tables of `canonical` under the name {name}. Now
  1. say in {name}__sources.yml how your files and columns are called (meta.files, meta.header),
     what is personal (meta.pii), and your time zone and currency
  2. where your rows mean something else, change the models; staging/README.md has the table
  3. make check-source SOURCE={name} FILES={example}
     and the same with your own files, until nothing is dropped that should count"""


def new_source(name: str, root: Path = REPOSITORY) -> str:
    """Write the skeleton, and switch it on in dbt_project.yml.

    Args:
        name: Of the folder, and what SOURCE will be.
        root: The repository to write into.

    Returns:
        What to do next, in words.

    Raises:
        SettingsError: If the name can't be one, or there is such a source; nothing is written then.
    """
    project = root / "dbt_project"
    folder, tests = project / "models" / "staging" / name, project / "tests" / name
    _check(name, folder, tests)
    for source, target in (
        (project / "models" / "staging" / MODEL, folder),
        (project / "tests" / MODEL, tests),
    ):
        _copy(source, target, name)
    example = folder / "example"
    example.mkdir()
    for file, text in EXAMPLE.items():
        (example / file).write_text(text)
    _switch_on(project / "dbt_project.yml", name)
    shown = folder.relative_to(root)
    return NEXT.format(folder=shown, name=name, example=shown / "example")


def _check(name: str, *folders: Path) -> None:
    if not NAME.fullmatch(name) or "__" in name or name in TAKEN:
        raise SettingsError(
            f"NAME={name!r} can't be a source: 2 to 30 small letters, digits and single _, a "
            f"letter first, none of {', '.join(TAKEN)}; such as NAME=my_shop"
        )
    for folder in folders:
        if folder.exists():
            raise SettingsError(f"NAME={name}: {folder} is there already, and is not overwritten")


def _copy(source: Path, target: Path, name: str) -> None:
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_file():
            renamed = path.name.replace(MODEL, name)
            (target / renamed).write_text(path.read_text().replace(MODEL, name))


def _switch_on(path: Path, name: str) -> None:
    """Add the source beside its model, once under models and once under sources."""
    text, entry = path.read_text(), ENTRY.format(name=MODEL)
    if text.count(entry) != 2:
        raise SettingsError(f"{path} does not switch {MODEL} on twice, so {name} was not added")
    path.write_text(text.replace(entry, entry + ENTRY.format(name=name)))
