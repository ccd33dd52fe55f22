// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A group of the account database.
public struct GroupAccount: Equatable, Sendable {
    public let name: String
    /// The users whom the database puts into it besides those whose first group it is.
    public let members: [String]

    public init(name: String, members: [String]) {
        self.name = name
        self.members = members
    }

    /// nil for a number that the database does not know.
    ///
    /// The corresponding C function is `getgrgid_r`.
    public init?(_ number: UInt32) {
        var space = [CChar](repeating: 0, count: 64 << 10)
        var entry = unsafe group()
        let found = unsafe space.withUnsafeMutableBufferPointer { space -> GroupAccount? in
            var result: UnsafeMutablePointer<group>?
            let error = unsafe getgrgid_r(number, &entry, space.baseAddress!, space.count, &result)
            guard error == 0, let record = unsafe result else { return nil }
            return unsafe GroupAccount(
                name: String(cString: record.pointee.gr_name), members: strings(record.pointee.gr_mem))
        }
        guard let found else { return nil }
        self = found
    }
}

/// Who this process is, as the kernel counts it when a file is opened.
public struct ProcessIdentity: Equatable, Sendable {
    public let user: UInt32
    /// nil where the account database does not know the user.
    public let userName: String?
    /// The effective group and the supplementary ones.
    public let groups: Set<UInt32>

    public init(user: UInt32, userName: String?, groups: Set<UInt32>) {
        self.user = user
        self.userName = userName
        self.groups = groups
    }

    /// The corresponding C functions are `geteuid`, `getegid`, `getgroups` and `getpwuid_r`.
    public static func current() -> ProcessIdentity {
        var numbers = [gid_t](repeating: 0, count: max(0, Int(getgroups(0, nil))))
        let count = unsafe getgroups(CInt(numbers.count), &numbers)
        return ProcessIdentity(
            user: geteuid(), userName: userName(geteuid()),
            groups: Set(numbers.prefix(max(0, Int(count)))).union([getegid()]))
    }

    private static func userName(_ number: UInt32) -> String? {
        var space = [CChar](repeating: 0, count: 16 << 10)
        var entry = unsafe passwd()
        return unsafe space.withUnsafeMutableBufferPointer { space -> String? in
            var result: UnsafeMutablePointer<passwd>?
            let error = unsafe getpwuid_r(number, &entry, space.baseAddress!, space.count, &result)
            guard error == 0, let record = unsafe result else { return nil }
            return unsafe String(cString: record.pointee.pw_name)
        }
    }
}

/// The strings of a list that ends with a null pointer.
private func strings(_ list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> [String] {
    guard var position = unsafe list else { return [] }
    var result: [String] = []
    while let entry = unsafe position.pointee {
        unsafe result.append(String(cString: entry))
        unsafe position += 1
    }
    return result
}
