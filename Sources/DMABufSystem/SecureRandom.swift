// SPDX-License-Identifier: Apache-2.0

import CDMABuf
public import SystemPackage

/// Numbers that nobody can guess, from the kernel.
public enum SecureRandom {
    /// 128 bits, as two halves.
    ///
    /// The corresponding system call is `getrandom`, which waits only in the first moments after the machine has started.
    public static func bits128() throws(Errno) -> (UInt64, UInt64) {
        var words: [2 of UInt64] = [0, 0]
        let size = MemoryLayout.size(ofValue: words)
        // Up to 256 bytes come at once, and no signal interrupts it; the rest is asked for all the same.
        var done = 0
        while done < size {
            done += Int(
                try valueOrErrno {
                    unsafe withUnsafeMutableBytes(of: &words) {
                        unsafe dmabuf_random($0.baseAddress! + done, size - done)
                    }
                })
        }
        return (words[0], words[1])
    }
}
