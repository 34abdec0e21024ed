//! How much memory this process may count on.

use rustix::system::sysinfo;

/// Where Linux says how much memory a control group may take: of the one that this process is in, as a container sees it.
const GROUP_LIMIT: &str = "/sys/fs/cgroup/memory.max";

/// The machine's memory in bytes, or what the control group may take of it.
#[allow(clippy::useless_conversion, reason = "the system's numbers have 32 bits on some machines")]
pub(super) fn bytes() -> u64 {
    let machine = sysinfo();
    let total =
        u64::try_from(machine.totalram).unwrap_or(u64::MAX).saturating_mul(u64::from(machine.mem_unit));
    let group = std::fs::read_to_string(GROUP_LIMIT).ok();
    total.min(group.and_then(|text| limit(&text)).unwrap_or(u64::MAX))
}

/// What the file says: a number, or `max` for none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_limit_or_none() {
        assert_eq!(limit("536870912\n"), Some(512 << 20));
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit(""), None);
    }
}
