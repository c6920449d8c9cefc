"""The 256 words of typed pairing codes: short, kind, and easy to tell apart.

Any two differ in at least two letters, and none begins another, so that a slip of the finger never makes another word.
The order is part of nothing: only the words themselves go into SPAKE2.
"""

from __future__ import annotations

from typing import Final

_LIST: Final = """
    acorn almond amber anchor apple apron arrow aspen autumn bagel bakery balloon bamboo banana banjo
    barley basil basket beacon beaver birch biscuit bison blanket blossom bonfire bonnet bramble bread
    breeze bridge bubble bucket bunny butter cabin cactus camel candle canoe canvas caramel cardigan
    carrot castle cedar cello chalk cheese cherry chestnut chimney cinnamon citrus clover coast cocoa
    coffee comet compass cookie copper coral cottage cotton cousin crayon cricket crocus cuckoo cupcake
    curtain daffodil dahlia daisy dancer dolphin domino donkey dragon duckling eagle easel echo elbow
    engine evening falcon feather fern fiddle firefly flannel flower flute forest fountain foxglove
    friend frosty galaxy garden garlic gazelle gentle ginger giraffe glacier goose granite grape guitar
    hammock harbor harvest hazel hedgehog heron hickory hollow honey horizon iceberg igloo indigo island
    ivory jasmine jelly jigsaw journey jungle juniper kayak kettle kitten kiwi koala ladder lagoon
    lantern lavender lemon lentil library lilac linen lizard llama lobster locket lotus lullaby magnet
    magpie mango maple marble marigold market meadow melon morning mosaic muffin museum mushroom nectar
    nickel noodle north nutmeg oatmeal ocean olive onion orbit orchard orchid otter paddle pancake panda
    parasol parsley pastry peach peanut pearl pebble pelican pencil penguin pepper piano picnic pigeon
    pillow planet platypus poem popcorn poppy potato prairie pretzel pumpkin puppet quail quilt rabbit
    raccoon radish rainbow raven rhubarb ribbon river robin rosemary sailor salmon sandal sapling scarf
    seagull seashell snowball snowdrop snowman sparrow spruce squirrel sundial sunrise teapot thistle
    thunder tiger tomato tulip turtle umbrella valley velvet village violin waffle walnut walrus window
    winter wombat yellow yogurt zebra
"""
WORDS: Final = tuple(_LIST.split())

__all__ = ["WORDS"]
