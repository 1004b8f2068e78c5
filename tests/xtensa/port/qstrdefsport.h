// No names besides those that sources use.
