// SPDX-License-Identifier: Apache-2.0

/// Names of a pool, a stream of frames through a few registered buffers.
///
/// Rule: *pools.* The buffers of the pool "cam0" are named "cam0.0", "cam0.1" and so on, and the first is "cam0" as well.
/// Frames come in that order, round and round. What is queued in the producer's device has a *write* fence of the
/// producer's and is pinned by it; what has none holds a whole frame. The producer takes the oldest back first, and only
/// when it has no *read* fence; it says that a frame is whole only when another buffer is taken; and it never takes the
/// only whole one. So the ring is always
///
///     oldest whole … newest whole, taken … taken
///
/// with one of either kind at least, and who reads them in order, without a write fence, never reads an older frame after
/// a newer one. Who puts its read fence on the next before it lets go of the last misses none.
public enum PoolName {
    /// The most buffers of a pool.
    public static let limit = 32

    public static func buffer(_ index: Int, of pool: String) -> String { "\(pool).\(index)" }
}
