"""Templates: names by default and by request, and keys that are safe for every source."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import InvalidEntryError
from farm.spec import Entry
from farm.template import KEY_BYTES, check_template, default_id, entry_id, make_key, placeholders


def entry(*, source="s3://bucket/dir/My%20Clip.mp4", id="e1", tag=None, **output) -> Entry:
    return Entry.model_validate(
        {
            "source": source,
            "id": id,
            "tag": tag,
            "destination": "/out",
            "outputs": [output, {"width": 64, "height": 36, "format": "png"} | output],
        }
    )


def key(template=None, *, row=7, output=0, index=1, **fields) -> str:
    return make_key(entry(filename=template, **fields), row=row, output=output, index=index)


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ({}, "My Clip.jpg"),
        ({"format": "webp"}, "My Clip.webp"),
        ({"width": 320, "height": 180}, "My Clip-320x180.jpg"),
        ({"width": 320}, "My Clip-w320.jpg"),
        ({"height": 180}, "My Clip-h180.jpg"),
        ({"width": 320, "height": 180, "fit": "crop"}, "My Clip-320x180-crop.jpg"),
        ({"width": 320, "count": 12}, "My Clip-w320-0003.jpg"),
        ({"count": 1}, "My Clip.jpg"),
    ],
)
def test_default_name(output, name):
    # sha256("e1") begins with 8b5.
    assert key(index=3, **output) == f"8b5/e1~{name}"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("cover.jpg", "cover.jpg"),
        ("{id}/{stem}.{ext}", "e1/My Clip.png"),
        ("{row}-{output}-{index}", "7-2-5"),
        ("{width}x{height}", "64x36"),
        ("{path}.jpg", "bucket/dir/My%20Clip.mp4.jpg"),
        ("{fanout}/{id}", "8b5/e1"),
        ("{tag}/a.jpg", "holiday/a.jpg"),
        ("a-%d.jpg", "a-5.jpg"),
        ("a-%03d.jpg", "a-005.jpg"),
        ("100%%-%d", "100%-5"),
    ],
)
def test_placeholders(template, expected):
    assert key(template, output=1, index=5, tag="holiday") == expected


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("%s.jpg", "'%s'"),
        ("%5d.jpg", "'%5d'"),
        ("50%", "'%'"),
        ("{name}.jpg", "{name}"),
        ("{stem", "'{'"),
        ("{}", "{}"),
        ("{id!r}", "{id!r}"),
        ("/etc/passwd", "relative"),
        ("../up.jpg", "'..'"),
        ("a//b.jpg", "empty"),
        ("dir/", "empty"),
        ("a\\b.jpg", "folders"),
        ("a\nb.jpg", "control"),
        ("a:b.jpg", "':'"),
    ],
)
def test_malformed_template_says_what_is_allowed(template, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        check_template(template, several=False)
    with pytest.raises(InvalidEntryError, match=r"outputs\[0\].filename"):
        key(template)


@pytest.mark.parametrize("template", ["cover.jpg", "{stem}.jpg", "{fanout}/%d.jpg", "{tag}"])
def test_several_entries_need_to_be_told_apart(template):
    check_template(template, several=False)
    with pytest.raises(ValueError, match=r"\{id\}, \{row\} or \{path\}"):
        check_template(template, several=True)


@pytest.mark.parametrize("template", ["{id}.jpg", "{row}.jpg", "{path}.jpg"])
def test_a_distinguishing_template_serves_several_entries(template):
    check_template(template, several=True)


def test_printf_is_the_index():
    assert placeholders("{id}-%04d-%%") == {"id", "index"}
    assert placeholders("{id}-%%") == {"id"}


def test_several_pictures_need_a_number():
    with pytest.raises(InvalidEntryError, match=r"expected %d or \{index\}.*count is 3"):
        key("{id}.jpg", count=3)
    assert key("{id}-{index}.jpg", count=3, index=2) == "e1-2.jpg"


@pytest.mark.parametrize(
    ("template", "asked"), [("{width}", {}), ("{height}", {"width": 5}), ("{tag}", {})]
)
def test_a_placeholder_needs_its_value(template, asked):
    with pytest.raises(InvalidEntryError, match=f"uses {template}"):
        key(template, **asked)


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("/data/a.b.jpg", "a.b"),
        ("/data/a%20b.jpg", "a%20b"),
        ("file:///data/a%20b.jpg", "a b"),
        ("https://host/x/clip.mp4?X-Amz-Signature=secret#t=1", "clip"),
        ("https://host/a%2F..%2Fb.mp4", "a_.._b"),
        ("s3://bucket/what?.mp4", "what_"),
        ("README", "README"),
        (".hidden", "hidden"),
        ("s3://bucket/", "bucket"),
        ("/data/CON.jpg", "CON_"),
        ("/data/com1.tar.gz", "com1_.tar"),
        ("/data/name. .jpg", "name__"),
        ("/data/a\\b\x01.jpg", "a_b_"),
        ("/data/e\u0301.jpg", "\u00e9"),
    ],
)
def test_stem(source, stem):
    assert key("{stem}", source=source) == stem


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("/data/dir/a.jpg", "data/dir/a.jpg"),
        ("s3://profile@bucket/a/b.jpg", "bucket/a/b.jpg"),
        ("file:///data//./a.jpg", "data/a.jpg"),
    ],
)
def test_path(source, path):
    assert key("{path}", source=source) == path


def test_changed_paths_stay_different():
    sources = ["/d/a:b.jpg", "/d/a?b.jpg", "/d/a_b.jpg", "/d/e\u0301.jpg", "/d/\u00e9.jpg"]
    sources += ["/a/../b.jpg", "/a/._/b.jpg", "https://h/v?id=1", "https://h/v?id=2"]
    keys = {key("{path}", source=source) for source in sources}
    assert len(keys) == len(sources)
    assert not any("id=" in found for found in keys)


def test_changed_ids_stay_different():
    assert key("{id}", id="a_b") == "a_b"
    assert key("{id}", id="a/b").startswith("a_b~")
    assert key("{id}", id="a/b") != key("{id}", id="a:b")


def test_long_names_are_cut_and_keep_number_and_extension():
    name = key(source="/data/" + "ü" * 300 + ".mp4", count=3, index=2, width=10).split("/")[-1]
    assert len(name.encode()) < 255
    assert name.endswith("-w10-0002.jpg")
    assert key("{path}", source="/" + "x" * 300 + "1.mp4").endswith(".mp4")
    assert key("{path}", source="/" + "x" * 300 + "1") != key(
        "{path}", source="/" + "x" * 300 + "2"
    )


def test_too_long_a_key_is_refused():
    with pytest.raises(InvalidEntryError, match=f"at most {KEY_BYTES} bytes"):
        key("{path}", source="/x" * 600)


def test_default_id():
    assert default_id("a") == "ca978112ca1bbdca"
    assert default_id("a", '[{"width":1}]') not in (default_id("a"), default_id("a", "[]"))
    assert entry_id(entry(id=None, source="a")) == default_id("a")
    assert entry_id(entry(id="x")) == "x"


texts = st.text(min_size=1, max_size=300).filter(lambda text: "\0" not in text)
hostile = st.lists(
    st.sampled_from(["..", ".", "/", "\\", "CON", "nul.txt", "%2e%2e", " ", ":", "a", "é", "\n"]),
    min_size=1,
    max_size=20,
).map("".join)


def is_safe(made: str) -> bool:
    return (
        0 < len(made.encode()) <= KEY_BYTES
        and unicodedata.is_normalized("NFC", made)
        and not any(ord(c) < 32 or c in '\\:*?"<>|' for c in made)
        and all(
            part and part[-1] not in ". " and len(part.encode()) <= 255 for part in made.split("/")
        )
    )


@given(texts | hostile, texts | hostile, st.sampled_from([None, "{path}", "x/{id}-{stem}-{tag}"]))
def test_every_key_is_safe(source, tag, template):
    asked = {"source": f"/{source}", "id": source[:255], "tag": tag}
    assert is_safe(key(template, **asked))


def test_a_tilde_of_an_id_does_not_end_it():
    assert key(id="a~b", source="/c.mp4").partition("/")[2] == "941528e5e77c9a1f~c.jpg"
    assert key(id="a", source="/b~c.mp4").partition("/")[2] == "a~b~c.jpg"


@given(texts | hostile, texts | hostile)
def test_different_ids_have_different_keys(one, other):
    made = [key("{id}.jpg", id=text[:255]) for text in (one, other)]
    assert (made[0] == made[1]) == (one[:255] == other[:255])


BOARD = {"kind": "storyboard", "interval": 2}


def board_key(*, index, **fields) -> str:
    made = Entry.model_validate(
        {"source": "/in/a.mp4", "id": "e1", "destination": "/out", "outputs": [BOARD | fields]}
    )
    return make_key(made, row=7, output=0, index=index)


@pytest.mark.parametrize(
    ("fields", "image", "vtt"),
    [
        ({}, "8b5/e1~a-storyboard-0002.jpg", "8b5/e1~a-storyboard.vtt"),
        (
            {"width": 9, "height": 5, "fit": "crop", "format": "webp", "sheets": True},
            "8b5/e1~a-9x5-crop-storyboard-0002.webp",
            "8b5/e1~a-9x5-crop-storyboard.vtt",
        ),
        ({"filename": "{id}-%02d.jpg"}, "e1-02.jpg", "e1.vtt"),
        ({"filename": "f/{index}.{ext}"}, "f/2.jpg", "f/storyboard.vtt"),
        ({"filename": "{index}/x.{id}"}, "2/x.e1", "x.e1.vtt"),
        ({"filename": "a/%%1 {id}_%d"}, "a/%1 e1_2", "a/%1 e1.vtt"),
        ({"filename": "%d.jpg", "vtt": "v/{stem}.{ext}"}, "2.jpg", "v/a.vtt"),
    ],
)
def test_names_of_a_storyboard(fields, image, vtt):
    assert board_key(index=2, **fields) == image
    assert board_key(index=0, **fields) == vtt


@pytest.mark.parametrize(
    ("index", "fields", "said"),
    [
        (2, {"filename": "{id}.jpg"}, r"outputs\[0\]\.filename: expected %d or .* several files"),
        (0, {"vtt": "{id}-%d.vtt"}, r"outputs\[0\]\.vtt: expected no %d"),
        (0, {"vtt": "{name}.vtt"}, r"outputs\[0\]\.vtt: unknown placeholder"),
    ],
)
def test_templates_that_do_not_serve_a_storyboard(index, fields, said):
    with pytest.raises(InvalidEntryError, match=said):
        board_key(index=index, **fields)


def test_one_sheet_needs_no_number():
    assert board_key(index=1, filename="{id}.jpg", sheets=True) == "e1.jpg"


def test_a_clip_has_its_own_extension():
    made = Entry.model_validate(
        {
            "source": "/in/a.mov",
            "id": "e1",
            "destination": "/out",
            "outputs": [{"kind": "clip", "width": 9}],
        }
    )
    assert make_key(made, row=1, output=0, index=1) == "8b5/e1~a-w9.mp4"
