"""What completes a cart: a plain function over rows of scores.product_companions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MAX_CART = 5  # products of the cart that are read, the ones added last


def completed(
    cart: Sequence[str],
    companions: Mapping[str, Sequence[tuple[str, float]]],
    length: int = 10,
) -> list[str]:
    """Products that go with a cart, the best first.

    The lifts of a product that goes with several of the cart are multiplied: it counts as much
    more likely with both as with each.

    Args:
        cart: Ids of products; the MAX_CART last ones count.
        companions: Id of a product -> its companion_ids and companion_lifts.
        length: Largest number of products.

    Returns:
        Ids without those of the cart; empty if nothing goes with any of them. Ties by id.

    Example:
        >>> completed(["tea"], {"tea": [("milk", 3.0), ("cup", 4.0)]})
        ['cup', 'milk']
    """
    lifts: dict[str, float] = {}
    for product in dict.fromkeys(cart[-MAX_CART:]):
        for other, lift in companions.get(product, ()):
            lifts[other] = lifts.get(other, 1.0) * lift
    found = [(-lift, other) for other, lift in lifts.items() if other not in set(cart)]
    return [other for _, other in sorted(found)[:length]]
