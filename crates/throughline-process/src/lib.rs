//! Traced child processes and commands.
