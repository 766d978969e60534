"""Slots, sizes, shapes and the keyboard's way over the map: called in the browser."""

from __future__ import annotations

import pytest

from .conftest import Run

pytestmark = pytest.mark.browser


def test_a_slot_is_kept_and_a_freed_one_goes_to_the_next_arrival_lowest_first(run: Run) -> None:
    code = """(lib) => {
      const slots = new lib.slots.Slots();
      const first = ["a", "b", "c", "d"].map((key) => slots.take(key));
      slots.leave("c"); slots.leave("a");
      return [first, slots.take("b"), slots.take("e"), slots.take("f"), slots.take("g"), slots.keys];
    }"""
    assert run(code) == [[0, 1, 2, 3], 1, 0, 2, 4, ["e", "b", "f", "d", "g"]]


def test_compacting_keeps_the_order(run: Run) -> None:
    code = """(lib) => {
      const slots = new lib.slots.Slots();
      for (let i = 0; i < 100; i += 1) slots.take(i);
      for (let i = 0; i < 100; i += 1) if (i % 4) slots.leave(i);
      const sparse = slots.sparse;
      slots.compact();
      return [sparse, slots.sparse, slots.length, slots.keys.slice(0, 4)];
    }"""
    assert run(code) == [True, False, 25, [0, 4, 8, 12]]


@pytest.mark.parametrize(("processes", "cell"), [(0, 14), (10, 14), (300, 14), (10_000, 6), (100_000, 4)])
def test_cells_shrink_from_14_to_4_pixels_as_numbers_grow(run: Run, processes: int, cell: int) -> None:
    third = processes // 3
    code = "(lib, n) => lib.slots.SIZES[lib.slots.chooseSize([n, n, n], 3, 380, 560)][0]"
    assert run(code, third) == cell


def test_cells_grow_back_only_when_there_is_room_to_spare(run: Run) -> None:
    code = """(lib, n) => [0, 1].map((current) => lib.slots.chooseSize([n], 1, 320, 320, current))"""
    assert run(code, 400) == [0, 1]
    assert run(code, 200) == [0, 0]


def test_shapes_differ_from_each_other_in_black_and_white_at_every_size(run: Run) -> None:
    code = """(lib, n) => {
      const masks = lib.sprites.SHAPES.map((shape) => [...lib.sprites.sprite(shape, n, [0, 0, 0])].map((w) => w >>> 24).join());
      return new Set(masks).size === masks.length;
    }"""  # noqa: E501 - JavaScript
    for size in (4, 5, 6, 8, 10, 12, 14, 28):
        assert run(code, size), f"two states look alike at {size} px"


def test_a_running_cell_is_solid_and_a_starting_one_hollow(run: Run) -> None:
    code = """(lib, shape) => {
      const pixels = lib.sprites.sprite(shape, 14, [1, 2, 3]);
      return [pixels[0], pixels[7 * 14 + 7]].map((word) => word >>> 24);
    }"""
    assert run(code, "running") == [255, 255]
    assert run(code, "starting") == [255, 0]


def test_arrows_pass_over_empty_slots_and_from_block_to_block(run: Run) -> None:
    code = """(lib, presses) => {
      const blocks = [{ keys: ["a", null, "c", "d"], columns: 2 }, { keys: [], columns: 2 }, { keys: [null, "x", "y"], columns: 2 }];
      let at = null;
      return presses.map((press) => {
        at = lib.keyboard.travel(blocks, at, press) ?? at;
        return blocks[at[0]].keys[at[1]];
      });
    }"""  # noqa: E501 - JavaScript
    assert run(code, ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"]) == [
        "a",
        "c",
        "d",
        "x",
        "y",
    ]
    assert run(code, ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"]) == ["a", "c", "x", "d"]
    assert run(code, ["End", "Home", "PageDown", "PageUp", "ArrowLeft"]) == ["y", "a", "x", "a", "a"]
