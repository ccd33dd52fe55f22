// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A library that is looked for at run time, so that the program starts where it is missing: those of GPUs.
///
/// Never closed again: a driver has threads and thread-local values, and an unloaded one is jumped into.
///
/// The corresponding functions are `dlopen` with `RTLD_NOW | RTLD_LOCAL`, and `dlsym`.
@safe
struct DynamicLibrary: @unchecked Sendable {
    private let handle: UnsafeMutableRawPointer

    /// Why it cannot be loaded, in the loader's words: names the library.
    struct Missing: Error { let reason: String }

    /// `name` is what the linker would be asked for: "libvulkan.so.1".
    init(_ name: String) throws(Missing) {
        guard let handle = unsafe dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
            let reason = unsafe dlerror().map { unsafe String(cString: $0) }
            throw Missing(reason: reason ?? "\(name) cannot be loaded")
        }
        unsafe self.handle = handle
    }

    /// The function of that name, as a C function type of the caller's knowledge; nil if the library has none.
    @unsafe
    func function<Function>(_ name: String, as type: Function.Type) -> Function? {
        precondition(MemoryLayout<Function>.size == MemoryLayout<Int>.size)
        guard let address = unsafe dlsym(handle, name) else { return nil }
        return unsafe unsafeBitCast(address, to: type)
    }
}
