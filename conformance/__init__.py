"""The conformance tests: one file a chapter. Each quotes the sentence of the specification that it acts out."""
