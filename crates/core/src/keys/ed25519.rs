//! Ed25519 points that no honest key is (RFC 8032).

/// Whether the order of an encoded Ed25519 point divides 8, so that one signature in eight,
/// made by anybody, verifies, which the crypto library does not look at; or its y is not below
/// the prime of the field (RFC 8032 §5.1.3).
pub(super) fn is_weak_point(mut y: [u8; 32]) -> bool {
    /// p − 1 (order 2); whatever is larger is no y at all.
    const LARGEST: [u8; 32] = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0x7f;
        bytes[31] = 0xec;
        bytes
    };
    /// The two y of order 8. Their sum is p.
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x05, 0xfc, 0x53, 0x6d, 0x88, 0x02, 0x38, 0xb1, 0x39, 0x33, 0xc6, 0xd3, 0x05, 0xac,
            0xdf, 0xd5, 0xf0, 0x98, 0xef, 0xf2, 0x89, 0xf4, 0xc3, 0x45, 0xb0, 0x27, 0xb2, 0xc2,
            0x8f, 0x95, 0xe8, 0x26,
        ],
        [
            0x7a, 0x03, 0xac, 0x92, 0x77, 0xfd, 0xc7, 0x4e, 0xc6, 0xcc, 0x39, 0x2c, 0xfa, 0x53,
            0x20, 0x2a, 0x0f, 0x67, 0x10, 0x0d, 0x76, 0x0b, 0x3c, 0xba, 0x4f, 0xd8, 0x4d, 0x3d,
            0x70, 0x6a, 0x17, 0xc7,
        ],
    ];
    // Little-endian, the sign of x in the last bit.
    y.reverse();
    let [first, rest @ .., last] = &mut y;
    *first &= 0x7f;
    // 0 (order 4) and 1 (order 1).
    let at_most_one = *first == 0 && *last <= 1 && rest.iter().all(|byte| *byte == 0);
    at_most_one || y >= LARGEST || ORDER_8.contains(&y)
}
