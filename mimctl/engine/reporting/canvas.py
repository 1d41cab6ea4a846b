"""A picture to draw on: boxes, lines, circles, polygons, points, texts and masks, in MMEngine's names.

Shapes have their own colours and widths, one for all or one each. Colours are names (`red`, `g`) or RGB in 0..255.
Pillow is imported when something is drawn: every run has a canvas, few draw.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from PIL import ImageDraw

Colour = str | tuple[int, int, int]
Colours = Colour | Sequence[Colour]
Numbers = np.ndarray[Any, Any] | Tensor

_LETTERS = {
    "b": (0, 0, 255),
    "g": (0, 128, 0),
    "r": (255, 0, 0),
    "c": (0, 191, 191),
    "m": (191, 0, 191),
    "y": (191, 191, 0),
    "k": (0, 0, 0),
    "w": (255, 255, 255),
}


class Canvas:
    """Draws on the picture that was set; every method returns the canvas, so that calls can be chained."""

    image: np.ndarray[Any, Any] | None

    def set_image(self, image: np.ndarray[Any, Any]) -> None:
        """Set the picture (H, W, 3), RGB, uint8, that is drawn on; it is copied. ValueError for another shape."""
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a picture is (H, W, 3), not {tuple(image.shape)}")
        self.image = np.array(image, dtype=np.uint8)

    def get_image(self) -> np.ndarray[Any, Any]:
        """Return the picture with what was drawn. ValueError where none was set."""
        if self.image is None:
            raise ValueError("no picture was set: call `set_image` first")
        return self.image

    def draw_bboxes(
        self,
        bboxes: Numbers,
        edge_colors: Colours = "g",
        line_styles: str | Sequence[str] = "-",
        line_widths: float | Sequence[float] = 2,
        face_colors: Colours = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Draw boxes (N, 4) or (4,) as x1, y1, x2, y2; lines are solid whatever their style."""
        boxes = _array(bboxes).reshape(-1, 4)
        for box, edge, face, width in _zipped(
            len(boxes), boxes, _colours(edge_colors), _colours(face_colors), line_widths
        ):
            corners = [tuple(box[:2]), tuple(box[2:])]
            with self._pen(alpha) as pen:
                pen.rectangle(corners, face, edge, max(round(width), 1))
        return self

    def draw_lines(
        self,
        x_datas: Numbers,
        y_datas: Numbers,
        colors: Colours = "g",
        line_styles: str | Sequence[str] = "-",
        line_widths: float | Sequence[float] = 2,
    ) -> Self:
        """Draw lines from (x, y) to (x, y): two arrays (N, 2) or (2,)."""
        xs, ys = _array(x_datas).reshape(-1, 2), _array(y_datas).reshape(-1, 2)
        for x, y, colour, width in _zipped(len(xs), xs, ys, _colours(colors), line_widths):
            ends = [(x[0], y[0]), (x[1], y[1])]
            with self._pen() as pen:
                pen.line(ends, colour, max(round(width), 1))
        return self

    def draw_circles(
        self,
        center: Numbers,
        radius: Numbers,
        edge_colors: Colours = "g",
        line_styles: str | Sequence[str] = "-",
        line_widths: float | Sequence[float] = 2,
        face_colors: Colours = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Draw circles of centres (N, 2) or (2,) and radii (N,)."""
        places, sizes = _array(center).reshape(-1, 2), _array(radius).reshape(-1)
        edges, faces = _colours(edge_colors), _colours(face_colors)
        for (x, y), size, edge, face, width in _zipped(len(places), places, sizes, edges, faces, line_widths):
            around = [(x - size, y - size), (x + size, y + size)]
            with self._pen(alpha) as pen:
                pen.ellipse(around, face, edge, max(round(width), 1))
        return self

    def draw_polygons(
        self,
        polygons: Numbers | Sequence[Numbers],
        edge_colors: Colours = "g",
        line_styles: str | Sequence[str] = "-",
        line_widths: float | Sequence[float] = 2,
        face_colors: Colours = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Draw a polygon (points, 2), or several."""
        listed = [polygons] if isinstance(polygons, np.ndarray | Tensor) else list(polygons)
        edges, faces = _colours(edge_colors), _colours(face_colors)
        for polygon, edge, face, width in _zipped(len(listed), listed, edges, faces, line_widths):
            points = [tuple(each) for each in _array(polygon).reshape(-1, 2)]
            with self._pen(alpha) as pen:
                pen.polygon(points, face, edge, max(round(width), 1))
        return self

    def draw_points(
        self,
        positions: Numbers,
        colors: Colours = "g",
        marker: str | None = None,
        sizes: Numbers | None = None,
    ) -> Self:
        """Draw points (N, 2) or (2,) as discs of the radius `sizes`; the marker's shape counts for nothing."""
        places = _array(positions).reshape(-1, 2)
        radii = np.full(len(places), 2.0) if sizes is None else _array(sizes).reshape(-1)
        return self.draw_circles(places, radii, colors, line_widths=1, face_colors=colors, alpha=1.0)

    def draw_texts(
        self,
        texts: str | Sequence[str],
        positions: Numbers,
        font_sizes: int | Sequence[int] | None = None,
        colors: Colours = "g",
        vertical_alignments: str | Sequence[str] = "top",
        horizontal_alignments: str | Sequence[str] = "left",
        font_families: str | Sequence[str] = "sans-serif",
        bboxes: Any = None,
        font_properties: Any = None,
    ) -> Self:
        """Write texts at positions (N, 2) or (2,), as aligned: top, center or bottom; left, center or right.

        `bboxes` is accepted as MMEngine has it (a dict, or one each): its `facecolor` is painted behind the text. There
        is one font.
        """
        from PIL import Image, ImageDraw, ImageFont

        places = _array(positions).reshape(-1, 2)
        words = [texts] if isinstance(texts, str) else list(texts)
        sizes = font_sizes if font_sizes is not None else max(10, round(min(self.get_image().shape[:2]) / 36))
        aligned = (vertical_alignments, horizontal_alignments)
        backs = [bboxes] * len(words) if bboxes is None or isinstance(bboxes, dict) else bboxes
        for word, place, size, colour, down, across, back in _zipped(
            len(words), words, places, sizes, _colours(colors), *aligned, backs
        ):
            anchor = {"left": "l", "center": "m", "right": "r"}[across] + {"top": "a", "center": "m", "bottom": "d"}[
                down
            ]
            font = ImageFont.load_default(size)
            x, y = float(place[0]), float(place[1])
            if back and back.get("facecolor") is not None:
                box = ImageDraw.Draw(Image.new("RGB", (1, 1))).textbbox((x, y), word, font, anchor)
                face = _colour(back["facecolor"])
                with self._pen(float(back.get("alpha", 0.8))) as pen:
                    pen.rectangle(box, face)
            with self._pen() as pen:
                pen.text((x, y), word, colour, font, anchor)
        return self

    def draw_binary_masks(
        self, binary_masks: Numbers, colors: Colours = "g", alphas: float | Sequence[float] = 0.8
    ) -> Self:
        """Lay masks (N, H, W) or (H, W) over the picture, in their colours. ValueError for masks of another size."""
        masks = _array(binary_masks).astype(bool)
        masks = masks[None] if masks.ndim == 2 else masks
        picture = self.get_image().astype(np.float32)
        if masks.shape[1:] != picture.shape[:2]:
            raise ValueError(f"masks of {masks.shape[1:]} do not fit a picture of {picture.shape[:2]}")
        for mask, colour, alpha in _zipped(len(masks), masks, _colours(colors), alphas):
            if colour is not None:
                picture[mask] = picture[mask] * (1 - alpha) + np.array(colour, np.float32) * alpha
        self.image = picture.round().astype(np.uint8)
        return self

    @contextlib.contextmanager
    def _pen(self, alpha: float = 1.0) -> Iterator[ImageDraw.ImageDraw]:
        """Give what draws on a copy of the picture, of which the share `alpha` is taken at the end."""
        from PIL import Image, ImageDraw

        before = Image.fromarray(self.get_image())
        after = before.copy()
        yield ImageDraw.Draw(after)
        self.image = np.asarray(Image.blend(before, after, alpha) if alpha < 1 else after).copy()


def _array(values: Numbers) -> np.ndarray[Any, Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _colours(colours: Colours) -> Any:
    """Return one RGB colour (or None for `none`), or a list of them."""
    if isinstance(colours, str) or (colours and isinstance(colours[0], int | np.integer)):
        return _colour(colours)
    return [_colour(each) for each in colours]


def _colour(colour: Any) -> tuple[int, ...] | None:
    if not isinstance(colour, str):
        return tuple(int(each) for each in colour)
    if colour == "none":
        return None
    if colour in _LETTERS:
        return _LETTERS[colour]
    from PIL import ImageColor

    return ImageColor.getrgb(colour)[:3]


def _zipped(count: int, *columns: Any) -> Any:
    """Return the columns side by side; a single value stands for all rows. ValueError where lengths differ."""
    lists = [each if isinstance(each, list | np.ndarray) else [each] * count for each in map(_unpacked, columns)]
    return zip(*lists, strict=True)


def _unpacked(column: Any) -> Any:
    is_many = isinstance(column, Sequence) and not isinstance(column, str | tuple)
    return list(column) if is_many else column
