//! What the figures were measured on.

/// The processor's name as far as the system tells it, and how many there are.
#[must_use]
pub fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let described = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = described.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or(std::env::consts::ARCH);
    format!("{model}, {processors} processors")
}
