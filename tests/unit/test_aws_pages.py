"""Lists of AWS over several pages, with boto3's own paginators, and failures of a later page."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber

from tools.doctor.aws import Aws, CallError, is_missing_stack

NAME = "loupe-prod"


@pytest.fixture
def aws() -> Aws:
    return Aws(boto3.Session(aws_access_key_id="x", aws_secret_access_key="x"), "eu-central-1", attempts=1)


@pytest.fixture
def stub(aws: Aws) -> Iterator[Stubber]:
    with Stubber(aws.client("lambda")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def alias(name: str) -> dict[str, str]:
    return {"Name": name, "FunctionVersion": "1"}


def test_items_of_all_pages_are_yielded_also_after_an_empty_one(aws: Aws, stub: Stubber) -> None:
    pages = ([alias("a"), alias("b")], [], [alias("c")])
    for number, items in enumerate(pages):
        asked = {"FunctionName": NAME, **({"Marker": f"page-{number}"} if number else {})}
        following = {"NextMarker": f"page-{number + 1}"} if number + 1 < len(pages) else {}
        stub.add_response("list_aliases", {"Aliases": items, **following}, asked)
    assert [item["Name"] for item in aws.pages("lambda", "list_aliases", "Aliases", FunctionName=NAME)] == [*"abc"]


def test_a_failure_of_a_later_page_is_explained(aws: Aws, stub: Stubber) -> None:
    stub.add_response("list_aliases", {"Aliases": [alias("a")], "NextMarker": "more"})
    stub.add_client_error("list_aliases", "AccessDeniedException", "User is not authorized", 403)
    items = aws.pages("lambda", "list_aliases", "Aliases", FunctionName=NAME)
    assert next(items)["Name"] == "a"
    with pytest.raises(CallError, match="may not call lambda:ListAliases") as error:
        next(items)
    assert (error.value.denied, error.value.operation) == (True, "lambda:ListAliases")


def test_a_page_that_names_itself_as_the_next_ends_the_list(aws: Aws, stub: Stubber) -> None:
    for _ in range(2):
        stub.add_response("list_aliases", {"Aliases": [alias("a")], "NextMarker": "same"})
    with pytest.raises(CallError, match="same next token was received twice"):
        list(aws.pages("lambda", "list_aliases", "Aliases", FunctionName=NAME))


def test_only_the_message_says_that_a_stack_does_not_exist() -> None:
    assert is_missing_stack("ValidationError", "Stack with id Loupe-prod does not exist")
    assert not is_missing_stack("ValidationError", "1 validation error detected: 'stackName' failed to satisfy")
    assert not is_missing_stack("AccessDenied", "the role does not exist")
