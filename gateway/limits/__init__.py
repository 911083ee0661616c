"""May they, now: budgets of tenants and keys, reserved before anything is spent and settled to what was."""
