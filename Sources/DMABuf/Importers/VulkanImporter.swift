// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem

/// A graphics processor, which takes buffers in to copy from and to them: see ``GPU``, which takes images as images.
public struct VulkanImporter: Importer {
    public let gpu: GPU
    public var name: String { gpu.name }
    public var requirements: Requirements { gpu.requirements }

    static let backend = ImporterBackend(
        "vulkan", .optional("N"), candidates: { VulkanNumber.candidates }
    ) { number throws(DMABufError) in VulkanImporter(try GPU(try VulkanNumber.read(number))) }

    public init(_ gpu: GPU) { self.gpu = gpu }

    /// The device's number in the name of an importer: 1 of "vulkan:1". nil if that is another's.
    public static func number(of name: String) -> Int? {
        guard let (found, number) = try? ImporterBackend.all.find(name, what: "importer"), found.word == backend.word
        else {
            return nil
        }
        return try? VulkanNumber.read(number)
    }

    /// As plain bytes.
    public func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment {
        try check(buffer)
        return Attachment(
            buffer: buffer, access: access, importer: name, place: .gpu(try gpu.attachBytes(buffer)))
    }
}

/// The number behind "vulkan:".
enum VulkanNumber {
    /// One for each device that Vulkan's drivers have.
    static var candidates: [String?] { (0..<GPU.count).map { String($0) } }

    static func read(_ text: String?) throws(DMABufError) -> Int {
        guard let text else { return 0 }
        // Digits alone, so that one device has one name.
        guard let number = UInt16(text), String(number) == text else {
            throw DMABufError(
                .invalid,
                "vulkan:\(text.escapedForDisplay): \"\(text.escapedForDisplay)\" is not the number of a device",
                remedy: "see which there are: dmabuf-share devices")
        }
        return Int(number)
    }
}
