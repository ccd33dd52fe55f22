// SPDX-License-Identifier: Apache-2.0

import CDMABuf

/// Where the kernel shows the table of files of the thread that looks. It may have one of its own (`unshare(CLONE_FILES)`, see
/// ``SeparateWorker``), and `/proc/self` shows that of the process's first thread; for that one it is the shorter way.
enum OwnTable {
    static var links: StaticString { isFirstThread ? "/proc/self/fd/" : "/proc/thread-self/fd/" }
    static var infos: StaticString { isFirstThread ? "/proc/self/fdinfo/" : "/proc/thread-self/fdinfo/" }

    private static var isFirstThread: Bool { dmabuf_is_first_thread() != 0 }
}
