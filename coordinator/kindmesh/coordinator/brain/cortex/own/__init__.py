"""The household's own grammar: what people say that is not about switching something. One module per topic, each a
recogniser over the sentence templates of its language; `phrase` is what they share, `grammar` has them in order."""
