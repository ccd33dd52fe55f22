// SPDX-License-Identifier: Apache-2.0

/// libgbm, through which Mesa's drivers allocate: looked for at run time. Once loaded it stays, and so does every driver that
/// it loads. A driver may write to standard error.
///
/// What its functions are called with is in ``GBMDevice``.
@safe
public struct GBM: @unchecked Sendable {
    /// Why there is no libgbm, in the loader's words.
    public struct Missing: Error { public let reason: String }

    /// What a buffer is for.
    ///
    /// The corresponding C name is `enum gbm_bo_flags`.
    public struct Use: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static var scanout: Use { Use(rawValue: 1 << 0) }
        /// Line after line.
        public static var linear: Use { Use(rawValue: 1 << 4) }
    }

    // Of a device or a buffer.
    typealias End = @convention(c) (OpaquePointer) -> Void
    typealias Count = @convention(c) (OpaquePointer) -> CInt
    typealias Modifier = @convention(c) (OpaquePointer) -> UInt64
    // Of a plane of a buffer.
    typealias PlaneNumber = @convention(c) (OpaquePointer, CInt) -> UInt32
    typealias PlaneHandle = @convention(c) (OpaquePointer, CInt) -> Int64
    typealias PlaneFile = @convention(c) (OpaquePointer, CInt) -> CInt
    typealias CreateDevice = @convention(c) (CInt) -> OpaquePointer?
    /// Width, height, format, use.
    typealias Create = @convention(c) (OpaquePointer, UInt32, UInt32, UInt32, UInt32) -> OpaquePointer?
    /// The same, with the modifiers to choose from before the use.
    typealias CreateWithModifiers =
        @convention(c) (OpaquePointer, UInt32, UInt32, UInt32, UnsafePointer<UInt64>, CUnsignedInt, UInt32) ->
        OpaquePointer?
    typealias IsSupported = @convention(c) (OpaquePointer, UInt32, UInt32) -> CInt

    let createDevice: CreateDevice
    let destroyDevice: End
    let isSupported: IsSupported
    let create: Create
    let createWithModifiers: CreateWithModifiers?
    let destroy: End
    let planeCount: Count
    let modifier: Modifier
    let offset: PlaneNumber
    let stride: PlaneNumber
    /// A union of eight bytes: see ``GBMBuffer/Plane/handle``.
    let handle: PlaneHandle
    let file: PlaneFile

    /// Throws where the library is missing, or too old to have all that is needed (Mesa 21.1).
    ///
    /// The corresponding C function is `dlopen`.
    public init(_ name: String = "libgbm.so.1") throws(Missing) {
        let library: DynamicLibrary
        do throws(DynamicLibrary.Missing) { library = try DynamicLibrary(name) } catch {
            throw Missing(reason: error.reason)
        }
        func find<Function>(_ function: String, _ type: Function.Type) throws(Missing) -> Function {
            if let found = unsafe library.function(function, as: type) { return found }
            throw Missing(reason: "\(name) is too old: it has no \(function)")
        }
        unsafe createDevice = try find("gbm_create_device", CreateDevice.self)
        unsafe destroyDevice = try find("gbm_device_destroy", End.self)
        unsafe isSupported = try find("gbm_device_is_format_supported", IsSupported.self)
        unsafe create = try find("gbm_bo_create", Create.self)
        unsafe createWithModifiers = library.function("gbm_bo_create_with_modifiers2", as: CreateWithModifiers.self)
        unsafe destroy = try find("gbm_bo_destroy", End.self)
        unsafe planeCount = try find("gbm_bo_get_plane_count", Count.self)
        unsafe modifier = try find("gbm_bo_get_modifier", Modifier.self)
        unsafe offset = try find("gbm_bo_get_offset", PlaneNumber.self)
        unsafe stride = try find("gbm_bo_get_stride_for_plane", PlaneNumber.self)
        unsafe handle = try find("gbm_bo_get_handle_for_plane", PlaneHandle.self)
        unsafe file = try find("gbm_bo_get_fd_for_plane", PlaneFile.self)
    }
}
