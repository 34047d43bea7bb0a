// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMinerCourt} from "../interfaces/IMinerCourt.sol";

/// @title ContentLinks
/// @notice References from one IPFS block to another: the CIDs (version 1, sha2-256) in a manifest and in a node of a file.
/// @dev What is found must be a reference that the author of an honest block has made, never 32 bytes that only look like one:
///      somebody will be punished if they cannot be opened.
library ContentLinks {
    /// @notice Codec of a block of bytes.
    uint8 internal constant RAW = 0x55;
    /// @notice Codec of a node of a file.
    uint8 internal constant DAG_PB = 0x70;

    /// @notice Characters of a CID in a manifest: "b" and base32, without padding, of 36 bytes.
    uint256 private constant TEXT_SIZE = 59;
    /// @notice Bytes of the beginning of a link, up to the end of its CID.
    uint256 private constant LINK_SIZE = 40;

    /// @notice The CID in text, base32 in lower case: 01 codec 12 20 digest, 290 bits of which the last two are zero.
    /// @dev No text of an honest manifest but a CID begins like one.
    /// @param text block that is a manifest
    /// @param offset of the "b"
    /// @return codec RAW or DAG_PB
    /// @return digest of the block that the CID names
    function inText(bytes calldata text, uint256 offset) internal pure returns (uint8 codec, bytes32 digest) {
        if (text.length < TEXT_SIZE || offset > text.length - TEXT_SIZE || text[offset] != "b") {
            revert IMinerCourt.NoLink(offset);
        }
        uint256 head = _decode(text, offset, offset + 1, offset + 8); // 35 bits: 4 bytes and the digest's first 3 bits
        codec = _codecOf(head >> 3, offset);
        uint256 body = _decode(text, offset, offset + 8, offset + 58); // 250 bits
        uint256 tail = _decode(text, offset, offset + 58, offset + TEXT_SIZE); // 3 bits and 2 that pad
        if (tail & 3 != 0) revert IMinerCourt.NoLink(offset);
        digest = bytes32(head << 253 | body << 3 | tail >> 2);
    }

    /// @notice The CID of a link of a dag-pb node. The node is read from its beginning, link by link: within a digest anything
    ///         can stand, also what looks like a link.
    /// @dev A link of a file: 12 size 0a 24 01 codec 12 20 digest, then its name and the size of what it leads to. All links
    ///      stand in front of everything else, and none has 128 bytes or more.
    /// @param node block that is a dag-pb node
    /// @param offset of the link
    /// @return codec RAW or DAG_PB
    /// @return digest of the block that the link leads to
    function inNode(bytes calldata node, uint256 offset) internal pure returns (uint8 codec, bytes32 digest) {
        if (node.length < LINK_SIZE || offset > node.length - LINK_SIZE) revert IMinerCourt.NoLink(offset);
        uint256 at = 0;
        while (at < offset) at += 2 + _linkSize(node, at, offset);
        if (at != offset || _linkSize(node, at, offset) < LINK_SIZE - 2) revert IMinerCourt.NoLink(offset);
        bytes calldata link = node[offset:offset + LINK_SIZE];
        if (link[2] != 0x0a || link[3] != 0x24) revert IMinerCourt.NoLink(offset);
        codec = _codecOf(uint32(bytes4(link[4:8])), offset);
        digest = bytes32(link[8:LINK_SIZE]);
    }

    function _linkSize(bytes calldata node, uint256 at, uint256 offset) private pure returns (uint256 size) {
        size = uint8(node[at + 1]);
        if (node[at] != 0x12 || size > 127) revert IMinerCourt.NoLink(offset);
    }

    /// @param head first four bytes of a CID
    function _codecOf(uint256 head, uint256 offset) private pure returns (uint8) {
        if (head == 0x01551220) return RAW;
        if (head == 0x01701220) return DAG_PB;
        revert IMinerCourt.NoLink(offset);
    }

    function _decode(bytes calldata text, uint256 offset, uint256 from, uint256 to)
        private
        pure
        returns (uint256 bits)
    {
        for (uint256 i = from; i < to; ++i) {
            uint8 character = uint8(text[i]);
            if (character >= 0x61 && character <= 0x7a) bits = bits << 5 | (character - 0x61); // a to z: 0 to 25
            else if (character >= 0x32 && character <= 0x37) bits = bits << 5 | (character - 24); // 2 to 7: 26 to 31
            else revert IMinerCourt.NoLink(offset);
        }
    }
}
