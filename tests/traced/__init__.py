"""Programs that are traced in the tests of the engine, and how to talk to one."""
