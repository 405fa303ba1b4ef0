"""Files to import: every mistake is told with its place, and nothing in a file can do more than that."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import service_files, services
from keyctl.core.inventory import Recovery
from keyctl.errors import UsageError

HEADER = "name,rp_id,account,keys,recovery\n"


def parse(content):
    return service_files.parse(content if isinstance(content, bytes) else content.encode(), "f.csv")


def refusal(content):
    with pytest.raises(UsageError) as failure:
        parse(content)
    assert failure.value.code == "import_unreadable"
    assert failure.value.hint
    assert failure.value.details.file == "f.csv"
    return failure.value.message


def fields(entry):
    return (entry.name, entry.rp_id, entry.account, list(entry.keys), [method.value for method in entry.recovery])


def envelope(*services, **facts):
    data = {"schema": "keyctl/1", "command": "service list", "status": "ok", "data": {"services": services}}
    return json.dumps(data | facts)


def test_csv_with_all_columns():
    [entry] = parse(f"{HEADER}GitHub,GitHub.com,kim,blue; green,totp;codes\n").entries
    assert fields(entry) == ("GitHub", "github.com", "kim", ["blue", "green"], ["codes", "totp"])
    assert entry.where == "f.csv: line 2"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfname,account\r\nGitHub,kim\r\n",
        b"account, Name \nkim, GitHub \n\n,\n",
        b'"name","account"\n"GitHub","kim"',
        b"name,account\rGitHub,kim\r",
        b"\n\nname,account\nGitHub,kim",
        b"name,account,keys\nGitHub,kim\n",
    ],
)
def test_csv_of_every_kind_says_the_same(content):
    assert [fields(entry) for entry in parse(content).entries] == [("GitHub", None, "kim", [], [])]


def test_columns_of_other_programs_are_named_and_left_out():
    found = parse("url,Name,note,\nhttps://x,GitHub,a,\n")
    assert found.ignored == ("url", "note")
    assert [fields(entry) for entry in found.entries] == [("GitHub", None, None, [], [])]


def test_quoted_fields_hold_everything():
    found = parse('name,account\n"a, ""b""\nc",kim\nd,lee\n')
    assert [(entry.name, entry.where) for entry in found.entries] == [
        ('a, "b"\nc', "f.csv: line 2"),
        ("d", "f.csv: line 4"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 has no column name"),
        (b"rp_id,account\nx,y\n", "line 1 has no column name"),
        (b"name;account\nx;y\n", "line 1 has no column name"),
        (b"name,Name\nx,y\n", "line 1 names the column name twice"),
        (b"name\nok\n\nGitHub,kim\n", "line 4 has 2 fields, but there are 1 columns"),
        (b"name\nok\nZo\xeb\n", "line 3 is not UTF-8"),
        ("name\nok\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"name\nok\na\0b\n", "line 3 holds a NUL character"),
        (b"name,rp_id\nok,\n,github.com\n", "line 3: the name is empty"),
        (b"name,recovery\nok,\nx,codes;fax\n", "line 3 has the unknown recovery method 'fax'"),
        (b"name,recovery\nx,codes;none\n", "line 2: recovery cannot be both none and codes"),
        (b"name,rp_id\nx,https://x.example/login\n", "line 2: 'https://x.example/login' is not an RP id"),
        (b"name\n" + b"a" * 1001, "line 2: the name has more than 1000 characters"),
        (b"name,account\nx," + b"a" * 1001, "line 2: the account has more than 1000 characters"),
        (b"name\nok\n" + b"a" * 200_000, "line 3 is not CSV: field larger than field limit (131072)"),
        (b"name,keys\nx," + b"k;" * 1001, "line 2 has a list of more than 1000"),
        (b'name\nok\n"a\nb\n', "line 3 is not CSV: unexpected end of data"),
        (b'name\n"a"b\n', "line 2 is not CSV: ',' expected after '\"'"),
        (b"name,rp_id\nX,a.example\nx,b.example\n", "line 3 gives x the RP id b.example, and an earlier one a.example"),
        (b"name,recovery\nX,none\nx,sms\n", "line 3: with an earlier one, recovery cannot be both none and sms"),
    ],
)
def test_mistake_in_csv_is_told_with_its_line(content, message):
    assert refusal(content) == f"f.csv: {message}"


def test_file_of_more_than_its_limit_is_refused():
    assert refusal(b"a" * (service_files.MAX_FILE_BYTES + 1)) == "f.csv is larger than 16 MB"


def test_lines_about_one_account_are_taken_together():
    [entry] = parse(f"{HEADER}GitHub,,Kim,blue,codes\nGITHUB,github.com,kim,green;blue,totp\n").entries
    assert fields(entry) == ("GitHub", "github.com", "Kim", ["green", "blue"], ["codes", "totp"])
    assert entry.keys == {"blue": "f.csv: line 2", "green": "f.csv: line 3"}


def test_hundred_thousand_lines_are_done_or_refused_at_once():
    before = time.monotonic()
    many = "".join(f"Site {number},site{number}.example,kim,blue,codes\n" for number in range(100_000))
    assert refusal(HEADER + many) == "f.csv: line 2002 is one service too many: a file may name 2000"
    few = "".join(f"Site,site.example,kim,key {number % 5},codes\n" for number in range(100_000))
    [entry] = parse(HEADER + few).entries
    assert len(entry.keys) == 5
    # Generous: other tests run beside this one.
    assert time.monotonic() - before < 30


def test_json_as_it_is_listed():
    listed = {"name": "GitHub", "rp_id": "github.com", "account": None, "on": ["a;b"], "recovery": ["sms"], "id": "x"}
    for text in (envelope(listed), json.dumps({"services": [listed]}), f"\ufeff {envelope(listed)}\n"):
        [entry] = parse(text).entries
        assert fields(entry) == ("GitHub", "github.com", None, ["a;b"], ["sms"])
        assert entry.where == "f.csv: service 1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"services": [\n{"name"}', ": line 2 is not JSON: expecting ':' delimiter"),
        ("[]", " holds no list of services"),
        ("{}", " holds no list of services"),
        ('{"services": {}}', " holds no list of services"),
        ("[" * 100_000, " is not JSON that makes sense"),
        (f'{{"services": [{"9" * 5000}]}}', " is not JSON that makes sense"),
        (envelope(schema="keyctl/2"), " has the schema 'keyctl/2', and this keyctl reads keyctl/1"),
        (envelope(command="coverage"), " is the output of 'coverage', not of 'service list'"),
        (envelope(status="error", data=None), " holds no list of services"),
        (envelope(1), ": service 1 is not a JSON object"),
        (envelope({"name": "ok"}, {}), ": service 2: the name is empty"),
        (envelope({"name": 1}), ": service 1 has a field 'name' that is not a text"),
        (envelope({"name": "\ud800"}), ": service 1: the name is not valid Unicode"),
        (envelope({"name": "a", "account": []}), ": service 1 has a field 'account' that is not a text"),
        (envelope({"name": "a", "on": "blue"}), ": service 1 has a field 'on' that is not a list of texts"),
        (envelope({"name": "a", "on": [None]}), ": service 1 has a field 'on' that is not a list of texts"),
        (envelope({"name": "a", "recovery": ["fax"]}), ": service 1 has the unknown recovery method 'fax'"),
    ],
)
def test_mistake_in_json_is_told_with_its_place(content, message):
    assert refusal(content) == f"f.csv{message}"


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"name,{text}".encode(errors="replace")))
def test_any_file_is_understood_or_refused(content):
    try:
        entries = parse(content).entries
    except UsageError as error:
        code = error.code
    else:
        assert all(entry.name.strip() for entry in entries)
        return
    assert code == "import_unreadable"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": TEXTS,
                "rp_id": st.just("a.example"),
                "account": st.none() | TEXTS,
                "on": st.lists(TEXTS, unique=True),
                "recovery": st.lists(
                    st.sampled_from([method.value for method in Recovery if method is not Recovery.NONE]), unique=True
                ),
            }
        ),
        unique_by=lambda item: services.folded(item["name"]),
        max_size=5,
    )
)
def test_what_was_listed_is_read_as_it_was(listed):
    found = parse(json.dumps({"services": listed})).entries
    assert [(entry.name, entry.account, list(entry.keys)) for entry in found] == [
        (item["name"], item["account"], item["on"]) for item in listed
    ]
    assert [{method.value for method in entry.recovery} for entry in found] == [
        set(item["recovery"]) for item in listed
    ]
