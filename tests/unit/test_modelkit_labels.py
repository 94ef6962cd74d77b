"""Label files in every form that people have, or a sentence with the entry that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_zoo import classifier, save
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.errors import ModelkitError
from modelkit.label_forms import check_labels, number_duplicates, parse_labels, split_labels

ABC = ("tench", "goldfish", "great white shark, man-eater")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lines.txt", "tench\r\ngoldfish\r\ngreat white shark, man-eater\r\n\r\n"),
        ("quoted.txt", '"tench"\n"goldfish"\n"great white shark, man-eater"'),
        ("numbered.txt", "0 tench\n1 goldfish\n2 great white shark, man-eater\n"),
        ("unsorted.txt", "2: great white shark, man-eater\n0: tench\n1: goldfish\n"),
        ("tabs.txt", "0\ttench\n1\tgoldfish\n2\tgreat white shark, man-eater\n"),
        ("from-one.txt", "1. tench\n2. goldfish\n3. great white shark, man-eater\n"),
        ("synset.txt", "n01440764 tench\nn01443537 goldfish\nn01484850 great white shark, man-eater\n"),
        ("list.json", '["tench", "goldfish", "great white shark, man-eater"]'),
        ("index.json", '{"1": "goldfish", "0": "tench", "2": "great white shark, man-eater"}'),
        (
            "class_index.json",
            '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"], "2": ["n01484850", "great white shark, man-eater"]}',  # noqa: E501
        ),
        ("indices.json", '{"goldfish": 1, "tench": 0, "great white shark, man-eater": 2}'),
        ("config.json", '{"id2label": {"0": "tench", "1": "goldfish", "2": "great white shark, man-eater"}, "x": [1]}'),
        ("records.json", '[{"id": 1, "name": "goldfish"}, {"id": 0, "name": "tench"}, {"id": 2, "name": "great white shark, man-eater"}]'),  # noqa: E501
        ("data.yaml", "nc: 3\nnames: [tench, goldfish, 'great white shark, man-eater']\n"),
        ("map.yml", "path: x\nnames:\n  0: tench\n  1: goldfish\n  2: great white shark, man-eater\n"),
        ("list.yaml", "- tench\n- goldfish\n- great white shark, man-eater\n"),
        ("dict.txt", "{0: 'tench',\n 1: \"goldfish\",\n 2: 'great white shark, man-eater',}"),
        ("assigned.py", "LABELS = ['tench', 'goldfish', 'great white shark, man-eater']"),
        ("table.csv", 'index,label\n1,goldfish\n0,tench\n2,"great white shark, man-eater"\n'),
        ("bare.csv", '0,tench\n1,goldfish\n2,"great white shark, man-eater"\n'),
        ("column.csv", 'label\ntench\ngoldfish\n"great white shark, man-eater"\n'),
        ("semicolon.csv", "id;name\n0;tench\n1;goldfish\n2;great white shark, man-eater\n"),
        ("header.txt", 'class_id,class_name\n0,tench\n1,goldfish\n2,"great white shark, man-eater"\n'),
    ],
)  # fmt: skip
def test_all_forms_yield_the_same_labels(name: str, text: str) -> None:
    assert parse_labels(text, name) == ABC


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0\n1\n2", ("0", "1", "2")),
        ("0 rings\n1 ring\n2 rings\n", ("0 rings", "1 ring", "2 rings")),
        ("3 rings\n5 rings\n", ("3 rings", "5 rings")),
        ('a, b\n"c" d\nit\'s\n', ("a, b", '"c" d', "it's")),
        ("狗 🐶\nKäse\n", ("狗 🐶", "Käse")),
        ("yes\nno\n", ("yes", "no")),
        ("n01440764\nn01443537\n", ("n01440764", "n01443537")),
    ],
)
def test_lines_that_look_like_another_form_stay_labels(text: str, labels: tuple[str, ...]) -> None:
    assert parse_labels(text, "labels.txt") == labels


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.txt", " \n", "holds no label"),
        ("a.json", '{"0": "a", "2": "b"}', "number 1 is missing"),
        ("a.json", '{"a": 0, "b": 0}', "gives number 0 to more than one label"),
        ("a.json", '{"0": "a", "0": "b"}', "has '0' more than once"),
        ("a.json", '{"a": "b"}', "maps neither numbers to labels"),
        ("a.json", '["a", null]', "the entry None is not a label"),
        ("a.json", '["a", ', "neither JSON"),
        ("a.json", "[" * 100_000, "nested too deep|neither JSON"),
        ("a.yaml", "names: [yes, no]", "the entry True is not a label .quote it"),
        ("a.yaml", "names: [a", "is not valid YAML"),
        ("a.csv", "index,label\n0,a, b\n", "has 3 cells, its header 2"),
        ("a.csv", "a,b,c\nd,e,f\n", "no header that says which"),
        ("a.csv", "index,label\n0,a\n2,b\n", "number 1 is missing"),
    ],
)
def test_a_form_that_cannot_be_read_names_the_entry(name: str, text: str, sentence: str) -> None:
    with pytest.raises(ModelkitError, match=sentence):
        parse_labels(text, name)


def add(tmp_path: Path, outputs: int, *options: str) -> Result:
    file = save(classifier(outputs=outputs), tmp_path / "net.onnx")
    arguments = [
        "--name",
        "mine",
        "--models-dir",
        str(tmp_path / "models"),
        "--preprocess",
        "unit",
        "--resize",
        "bilinear",
    ]
    return CliRunner().invoke(app, ["add", str(file), *arguments, *options])


def test_duplicate_labels_are_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("crane\nmaillot\ncrane\nmaillot\n")
    options = ["--labels-file", str(tmp_path / "labels.txt")]
    rejected = add(tmp_path, 4, *options)
    assert rejected.exit_code == 3
    assert "'crane' (outputs 0, 2), 'maillot' (outputs 1, 3)" in rejected.output
    assert "--number-duplicates" in rejected.output
    result = add(tmp_path, 4, *options, "--number-duplicates", "--json")
    assert result.exit_code == 0, result.output
    assert '"crane (2)"' in result.output
    assert number_duplicates(["a", "b", "a"]) == ("a (0)", "b", "a (2)")


def test_counts_are_compared_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    result = add(tmp_path, 4, "--labels-file", str(tmp_path / "labels.txt"))
    assert result.exit_code == 3
    assert "3 labels were given, but output 'scores' (logits, 4 number(s)) needs 4" in result.output
    assert "'background' first" in result.output
    assert not (tmp_path / "models").exists()


def test_an_option_may_quote_labels_with_commas(tmp_path: Path) -> None:
    assert split_labels('"a, b", c,it\'s') == ("a, b", "c", "it's")
    result = add(tmp_path, 3, "--labels", '"great white shark, man-eater",Käse,"狗 🐶"', "--json")
    assert result.exit_code == 0, result.output
    assert "great white shark, man-eater" in result.output


@pytest.mark.parametrize("label", ["", "a\nb", "x" * 201])
def test_an_entry_that_cannot_be_a_label_is_named(label: str) -> None:
    with pytest.raises(ModelkitError, match="Label 1 "):
        check_labels(["a", label])
