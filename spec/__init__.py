"""The contract: what a concurrent TCP server must do, one TOML file a chapter, and models that can be run."""
