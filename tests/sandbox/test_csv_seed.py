"""Loading a directory of CSV files into the org: what it makes of good files, and what it says about bad ones."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from connector.sandbox import csv_seed
from connector.sandbox.errors import SandboxError
from connector.sandbox.world import World

FILES = {
    "accounts.csv": """account,sector,year_established,revenue,employees,office_location,subsidiary_of
Acme,technolgy,1996,1100.04,2822,United States,
Beta Clinics,medical,1999,251.41,495,Kenya,Acme
""",
    "products.csv": "product,series,sales_price\nGTX Pro,GTX,4821\nMG Special,MG,55\n",
    "sales_teams.csv": "sales_agent,manager,regional_office\nAnna Snelling,Dustin Brinkmann,Central\nMoses Frase,Dustin Brinkmann,East\n",
    "sales_pipeline.csv": """opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value
W1,Moses Frase,GTXPro,Acme,Won,20-10-2016,01-03-2017,1054
L1,Anna Snelling,MG Special,,Lost,25-10-2016,07-11-2016,0
E1,Anna Snelling,GTX Pro,Beta Clinics,Engaging,02-07-2017,,
P1,Moses Frase,MG Special,Acme,Prospecting,,,
""",
}


@pytest.fixture
def directory(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def deals(world):
    return {row["Source_Id__c"]: row for row in world.org.tables["Opportunity"].rows.values()}


def history(world, deal):
    rows = [row for row in world.org.tables["OpportunityHistory"].rows.values() if row["OpportunityId"] == deal["Id"]]
    return [(row["CreatedDate"], row["StageName"], row.get("Amount")) for row in rows]


def test_every_row_becomes_a_deal_with_its_history(directory):
    world = World()
    assert world.load_csv(directory) == {"opportunities": 4, "accounts": 2, "users": 2, "products": 2}
    found = deals(world)
    won, lost, engaging, prospecting = (found[key] for key in ("W1", "L1", "E1", "P1"))
    assert history(world, won) == [("2016-10-20T16:00:00.000+0000", "Engaging", None), ("2017-03-01T17:00:00.000+0000", "Won", 1054.0)]
    assert history(world, lost) == [("2016-10-25T16:00:00.000+0000", "Engaging", None), ("2016-11-07T17:00:00.000+0000", "Lost", 0.0)]
    assert history(world, engaging) == [("2017-07-02T16:00:00.000+0000", "Engaging", None)]
    assert history(world, prospecting) == [("2016-10-19T16:00:00.000+0000", "Prospecting", None)], "the day before the earliest engage date"
    assert (won["IsWon"], lost["IsClosed"], lost["IsWon"], engaging["IsClosed"]) == (True, True, False, False)
    assert (won["CloseDate"], engaging["CloseDate"]) == ("2017-03-01", "2017-09-30")
    assert (won["Primary_Product__c"], won["Amount"], "Amount" in engaging) == ("GTXPro", 1054.0, False)
    assert "AccountId" not in lost


def test_people_and_accounts(directory):
    world = World()
    world.load_csv(directory)
    users = {row["Name"]: row for row in world.org.tables["User"].rows.values()}
    assert users["Anna Snelling"]["ManagerId"] == users["Dustin Brinkmann"]["Id"]
    assert users["Moses Frase"]["Sales_Region__c"] == "East"
    assert deals(world)["W1"]["OwnerId"] == users["Moses Frase"]["Id"]
    accounts = {row["Name"]: row for row in world.org.tables["Account"].rows.values()}
    assert accounts["Beta Clinics"]["ParentId"] == accounts["Acme"]["Id"]
    assert (accounts["Acme"]["AnnualRevenue"], accounts["Acme"]["NumberOfEmployees"]) == (1_100_040_000.0, 2822)


def test_the_clock_stands_on_the_day_after_and_goes_on(directory):
    world = World()
    world.load_csv(directory)
    assert world.clock.now == datetime(2017, 7, 3, 16, tzinfo=UTC)
    assert world.tick(2) == 0
    assert world.clock.now == datetime(2017, 7, 5, 16, tzinfo=UTC)


def test_it_takes_the_place_of_the_business(directory):
    world = World()
    world.seed()
    world.load_csv(directory)
    assert world.counts()["salesforce"]["opportunities"] == 4
    assert world.counts()["hubspot"]["deals"] == 0
    assert world.source == "csv"


def test_stages_and_record_type_are_there(directory):
    world = World()
    world.load_csv(directory)
    org = world.org
    assert org.offered[org.record_types["CSV_Import"]] == ["Prospecting", "Engaging", "Won", "Lost"]
    assert {row["RecordTypeId"] for row in deals(world).values()} == {org.record_types["CSV_Import"]}
    assert [(org.stages[name]["IsClosed"], org.stages[name]["IsWon"]) for name in ("Prospecting", "Won", "Lost")] == [
        (False, False), (True, True), (True, False),
    ]  # fmt: skip


BAD = (
    ("sales_pipeline.csv", "20-10-2016,01-03-2017", "2016-10-20,01-03-2017", "sales_pipeline.csv:2: engage_date '2016-10-20' is no date of the form"),
    ("sales_pipeline.csv", "20-10-2016", "31-02-2016", "sales_pipeline.csv:2: engage_date '31-02-2016'"),
    ("sales_pipeline.csv", "Lost,", "Gone,", "sales_pipeline.csv:3: deal_stage 'Gone' is none of Prospecting"),
    ("sales_pipeline.csv", "1054", "lots", "sales_pipeline.csv:2: close_value 'lots' is no amount"),
    ("sales_pipeline.csv", "1054", "-1", "sales_pipeline.csv:2: close_value '-1' is no amount"),
    ("sales_pipeline.csv", "01-03-2017,1054", ",", "sales_pipeline.csv:2: a deal that is Won has no close_date"),
    ("sales_pipeline.csv", "07-11-2016", "07-10-2016", "sales_pipeline.csv:3: close_date lies before engage_date"),
    ("sales_pipeline.csv", "L1", "W1", "sales_pipeline.csv:3: opportunity_id 'W1' is there twice, first on line 2"),
    ("sales_pipeline.csv", "P1,Moses Frase", "P1,Nobody", "sales_pipeline.csv:5: sales_agent 'Nobody' is not in sales_teams.csv"),
    ("sales_pipeline.csv", "GTXPro,Acme", "GTXPro,Acne", "sales_pipeline.csv:2: account 'Acne' is not in accounts.csv"),
    ("sales_pipeline.csv", "GTXPro", "GTX Por", "sales_pipeline.csv:2: product 'GTX Por' is not in products.csv"),
    ("sales_pipeline.csv", "Engaging,02-07-2017", "Engaging,", "sales_pipeline.csv:4: a deal in Engaging has no engage_date"),
    ("sales_pipeline.csv", "Prospecting,,,", "Prospecting,,", "sales_pipeline.csv:5: 8 values expected"),
    ("sales_pipeline.csv", "close_value\n", "value\n", "sales_pipeline.csv:1: column missing: close_value"),
    ("accounts.csv", ",Acme\n", ",Acne\n", "accounts.csv:3: subsidiary_of 'Acne' is no account"),
    ("accounts.csv", "2822", "many", "accounts.csv:2: employees 'many' is no number"),
    ("sales_teams.csv", "Moses Frase", "Anna Snelling", "sales_teams.csv:3: sales_agent 'Anna Snelling' is there twice"),
    ("products.csv", "GTX Pro", "", "products.csv:2: product is blank"),
)  # fmt: skip


@pytest.mark.parametrize(("file", "good", "bad", "said"), BAD)
def test_bad_input_is_named_by_file_and_line_and_nothing_is_loaded(directory, file, good, bad, said):
    path = directory / file
    assert good in path.read_text()
    path.write_text(path.read_text().replace(good, bad, 1))
    world = World()
    org = world.org
    with pytest.raises(SandboxError) as caught:
        world.load_csv(directory)
    assert any(line.startswith(said) for line in caught.value.details), caught.value.details
    assert world.org is org
    assert world.source == "empty"


def test_a_missing_file_is_named(directory):
    (directory / "products.csv").unlink()
    with pytest.raises(SandboxError, match=r"products\.csv: not found"):
        csv_seed.read(directory)


def test_no_deals_at_all(directory):
    path = directory / "sales_pipeline.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(SandboxError, match="no deals"):
        csv_seed.read(directory)


def test_many_problems_are_counted(directory):
    path = directory / "sales_pipeline.csv"
    path.write_text(path.read_text() + "".join(f"X{n},Nobody,GTX Pro,,Prospecting,,,\n" for n in range(50)))
    with pytest.raises(SandboxError, match="50 problems") as caught:
        csv_seed.read(directory)
    assert caught.value.details[-1] == "… and 30 more"


def test_the_public_data_set(shared):
    world = World()
    loaded = world.load_csv(shared / "data" / "crm-opportunities")
    assert loaded == {"opportunities": 8800, "accounts": 85, "users": 35, "products": 7}
    rows = deals(world)
    assert Counter(row["StageName"] for row in rows.values()) == {"Won": 4238, "Lost": 2473, "Engaging": 1589, "Prospecting": 500}
    assert sum("AccountId" not in row for row in rows.values()) == 1425
    assert sum("Amount" not in row for row in rows.values()) == 2089
    assert sum(Decimal(str(row["Amount"])) for row in rows.values() if row["IsWon"]) == 10_005_534
    assert len(world.org.tables["OpportunityHistory"].rows) == 8800 + 4238 + 2473
    assert world.clock.now.date() == date(2018, 1, 1)
    assert min(row["CreatedDate"] for row in rows.values()) == "2016-10-19T16:00:00.000+0000"
    assert sum(row["CreatedDate"] == "2016-10-19T16:00:00.000+0000" for row in rows.values()) == 500
