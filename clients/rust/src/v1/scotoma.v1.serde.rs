// Generated from proto/scotoma/v1 by clients/rust/generate; not to be edited.
impl serde::Serialize for Ablate {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target.is_some() {
            len += 1;
        }
        if self.value != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Ablate", len)?;
        if let Some(v) = self.target.as_ref() {
            struct_ser.serialize_field("target", v)?;
        }
        if self.value != 0 {
            let v = Constant::try_from(self.value)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.value)))?;
            struct_ser.serialize_field("value", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Ablate {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "value",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Value,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "value" => Ok(GeneratedField::Value),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Ablate;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Ablate")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Ablate, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut value__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = map_.next_value()?;
                        }
                        GeneratedField::Value => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("value"));
                            }
                            value__ = Some(map_.next_value::<Constant>()? as i32);
                        }
                    }
                }
                Ok(Ablate {
                    target: target__,
                    value: value__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Ablate", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Activation {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target != 0 {
            len += 1;
        }
        if !self.point.is_empty() {
            len += 1;
        }
        if self.step != 0 {
            len += 1;
        }
        if self.image != 0 {
            len += 1;
        }
        if self.view != 0 {
            len += 1;
        }
        if !self.tokens.is_empty() {
            len += 1;
        }
        if !self.shape.is_empty() {
            len += 1;
        }
        if !self.data.is_empty() {
            len += 1;
        }
        if self.offset != 0 {
            len += 1;
        }
        if self.size != 0 {
            len += 1;
        }
        if !self.top.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Activation", len)?;
        if self.target != 0 {
            struct_ser.serialize_field("target", &self.target)?;
        }
        if !self.point.is_empty() {
            struct_ser.serialize_field("point", &self.point)?;
        }
        if self.step != 0 {
            struct_ser.serialize_field("step", &self.step)?;
        }
        if self.image != 0 {
            struct_ser.serialize_field("image", &self.image)?;
        }
        if self.view != 0 {
            struct_ser.serialize_field("view", &self.view)?;
        }
        if !self.tokens.is_empty() {
            struct_ser.serialize_field("tokens", &self.tokens)?;
        }
        if !self.shape.is_empty() {
            struct_ser.serialize_field("shape", &self.shape)?;
        }
        if !self.data.is_empty() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("data", pbjson::private::base64::encode(&self.data).as_str())?;
        }
        if self.offset != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("offset", ToString::to_string(&self.offset).as_str())?;
        }
        if self.size != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("size", ToString::to_string(&self.size).as_str())?;
        }
        if !self.top.is_empty() {
            struct_ser.serialize_field("top", &self.top)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Activation {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "point",
            "step",
            "image",
            "view",
            "tokens",
            "shape",
            "data",
            "offset",
            "size",
            "top",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Point,
            Step,
            Image,
            View,
            Tokens,
            Shape,
            Data,
            Offset,
            Size,
            Top,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "point" => Ok(GeneratedField::Point),
                            "step" => Ok(GeneratedField::Step),
                            "image" => Ok(GeneratedField::Image),
                            "view" => Ok(GeneratedField::View),
                            "tokens" => Ok(GeneratedField::Tokens),
                            "shape" => Ok(GeneratedField::Shape),
                            "data" => Ok(GeneratedField::Data),
                            "offset" => Ok(GeneratedField::Offset),
                            "size" => Ok(GeneratedField::Size),
                            "top" => Ok(GeneratedField::Top),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Activation;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Activation")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Activation, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut point__ = None;
                let mut step__ = None;
                let mut image__ = None;
                let mut view__ = None;
                let mut tokens__ = None;
                let mut shape__ = None;
                let mut data__ = None;
                let mut offset__ = None;
                let mut size__ = None;
                let mut top__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Point => {
                            if point__.is_some() {
                                return Err(serde::de::Error::duplicate_field("point"));
                            }
                            point__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Step => {
                            if step__.is_some() {
                                return Err(serde::de::Error::duplicate_field("step"));
                            }
                            step__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Image => {
                            if image__.is_some() {
                                return Err(serde::de::Error::duplicate_field("image"));
                            }
                            image__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::View => {
                            if view__.is_some() {
                                return Err(serde::de::Error::duplicate_field("view"));
                            }
                            view__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Tokens => {
                            if tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokens"));
                            }
                            tokens__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Shape => {
                            if shape__.is_some() {
                                return Err(serde::de::Error::duplicate_field("shape"));
                            }
                            shape__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Data => {
                            if data__.is_some() {
                                return Err(serde::de::Error::duplicate_field("data"));
                            }
                            data__ = 
                                Some(map_.next_value::<::pbjson::private::BytesDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Offset => {
                            if offset__.is_some() {
                                return Err(serde::de::Error::duplicate_field("offset"));
                            }
                            offset__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Size => {
                            if size__.is_some() {
                                return Err(serde::de::Error::duplicate_field("size"));
                            }
                            size__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Top => {
                            if top__.is_some() {
                                return Err(serde::de::Error::duplicate_field("top"));
                            }
                            top__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Activation {
                    target: target__.unwrap_or_default(),
                    point: point__.unwrap_or_default(),
                    step: step__.unwrap_or_default(),
                    image: image__.unwrap_or_default(),
                    view: view__.unwrap_or_default(),
                    tokens: tokens__.unwrap_or_default(),
                    shape: shape__.unwrap_or_default(),
                    data: data__.unwrap_or_default(),
                    offset: offset__.unwrap_or_default(),
                    size: size__.unwrap_or_default(),
                    top: top__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Activation", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for AddNoise {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target.is_some() {
            len += 1;
        }
        if self.geometry != 0 {
            len += 1;
        }
        if self.scale != 0. {
            len += 1;
        }
        if self.random_scale {
            len += 1;
        }
        if self.seed.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.AddNoise", len)?;
        if let Some(v) = self.target.as_ref() {
            struct_ser.serialize_field("target", v)?;
        }
        if self.geometry != 0 {
            let v = add_noise::Geometry::try_from(self.geometry)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.geometry)))?;
            struct_ser.serialize_field("geometry", &v)?;
        }
        if self.scale != 0. {
            struct_ser.serialize_field("scale", &self.scale)?;
        }
        if self.random_scale {
            struct_ser.serialize_field("randomScale", &self.random_scale)?;
        }
        if let Some(v) = self.seed.as_ref() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seed", ToString::to_string(&v).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for AddNoise {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "geometry",
            "scale",
            "random_scale",
            "randomScale",
            "seed",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Geometry,
            Scale,
            RandomScale,
            Seed,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "geometry" => Ok(GeneratedField::Geometry),
                            "scale" => Ok(GeneratedField::Scale),
                            "randomScale" | "random_scale" => Ok(GeneratedField::RandomScale),
                            "seed" => Ok(GeneratedField::Seed),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = AddNoise;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.AddNoise")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<AddNoise, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut geometry__ = None;
                let mut scale__ = None;
                let mut random_scale__ = None;
                let mut seed__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = map_.next_value()?;
                        }
                        GeneratedField::Geometry => {
                            if geometry__.is_some() {
                                return Err(serde::de::Error::duplicate_field("geometry"));
                            }
                            geometry__ = Some(map_.next_value::<add_noise::Geometry>()? as i32);
                        }
                        GeneratedField::Scale => {
                            if scale__.is_some() {
                                return Err(serde::de::Error::duplicate_field("scale"));
                            }
                            scale__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::RandomScale => {
                            if random_scale__.is_some() {
                                return Err(serde::de::Error::duplicate_field("randomScale"));
                            }
                            random_scale__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Seed => {
                            if seed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seed"));
                            }
                            seed__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                    }
                }
                Ok(AddNoise {
                    target: target__,
                    geometry: geometry__.unwrap_or_default(),
                    scale: scale__.unwrap_or_default(),
                    random_scale: random_scale__.unwrap_or_default(),
                    seed: seed__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.AddNoise", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for add_noise::Geometry {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "GEOMETRY_UNSPECIFIED",
            Self::Literal => "GEOMETRY_LITERAL",
            Self::AbsScaled => "GEOMETRY_ABS_SCALED",
            Self::Keskar => "GEOMETRY_KESKAR",
            Self::Additive => "GEOMETRY_ADDITIVE",
            Self::Gaussian => "GEOMETRY_GAUSSIAN",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for add_noise::Geometry {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "GEOMETRY_UNSPECIFIED",
            "GEOMETRY_LITERAL",
            "GEOMETRY_ABS_SCALED",
            "GEOMETRY_KESKAR",
            "GEOMETRY_ADDITIVE",
            "GEOMETRY_GAUSSIAN",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = add_noise::Geometry;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "GEOMETRY_UNSPECIFIED" => Ok(add_noise::Geometry::Unspecified),
                    "GEOMETRY_LITERAL" => Ok(add_noise::Geometry::Literal),
                    "GEOMETRY_ABS_SCALED" => Ok(add_noise::Geometry::AbsScaled),
                    "GEOMETRY_KESKAR" => Ok(add_noise::Geometry::Keskar),
                    "GEOMETRY_ADDITIVE" => Ok(add_noise::Geometry::Additive),
                    "GEOMETRY_GAUSSIAN" => Ok(add_noise::Geometry::Gaussian),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Answering {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "ANSWERING_UNSPECIFIED",
            Self::Generate => "ANSWERING_GENERATE",
            Self::OptionLetters => "ANSWERING_OPTION_LETTERS",
            Self::OptionTexts => "ANSWERING_OPTION_TEXTS",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Answering {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "ANSWERING_UNSPECIFIED",
            "ANSWERING_GENERATE",
            "ANSWERING_OPTION_LETTERS",
            "ANSWERING_OPTION_TEXTS",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Answering;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "ANSWERING_UNSPECIFIED" => Ok(Answering::Unspecified),
                    "ANSWERING_GENERATE" => Ok(Answering::Generate),
                    "ANSWERING_OPTION_LETTERS" => Ok(Answering::OptionLetters),
                    "ANSWERING_OPTION_TEXTS" => Ok(Answering::OptionTexts),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for BenchmarkMetric {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.variant.is_empty() {
            len += 1;
        }
        if !self.name.is_empty() {
            len += 1;
        }
        if self.value != 0. {
            len += 1;
        }
        if self.low != 0. {
            len += 1;
        }
        if self.high != 0. {
            len += 1;
        }
        if self.most != 0. {
            len += 1;
        }
        if self.n != 0 {
            len += 1;
        }
        if self.unparsed != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.BenchmarkMetric", len)?;
        if !self.variant.is_empty() {
            struct_ser.serialize_field("variant", &self.variant)?;
        }
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if self.value != 0. {
            struct_ser.serialize_field("value", &self.value)?;
        }
        if self.low != 0. {
            struct_ser.serialize_field("low", &self.low)?;
        }
        if self.high != 0. {
            struct_ser.serialize_field("high", &self.high)?;
        }
        if self.most != 0. {
            struct_ser.serialize_field("most", &self.most)?;
        }
        if self.n != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("n", ToString::to_string(&self.n).as_str())?;
        }
        if self.unparsed != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("unparsed", ToString::to_string(&self.unparsed).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for BenchmarkMetric {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "variant",
            "name",
            "value",
            "low",
            "high",
            "most",
            "n",
            "unparsed",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Variant,
            Name,
            Value,
            Low,
            High,
            Most,
            N,
            Unparsed,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "variant" => Ok(GeneratedField::Variant),
                            "name" => Ok(GeneratedField::Name),
                            "value" => Ok(GeneratedField::Value),
                            "low" => Ok(GeneratedField::Low),
                            "high" => Ok(GeneratedField::High),
                            "most" => Ok(GeneratedField::Most),
                            "n" => Ok(GeneratedField::N),
                            "unparsed" => Ok(GeneratedField::Unparsed),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = BenchmarkMetric;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.BenchmarkMetric")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<BenchmarkMetric, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut variant__ = None;
                let mut name__ = None;
                let mut value__ = None;
                let mut low__ = None;
                let mut high__ = None;
                let mut most__ = None;
                let mut n__ = None;
                let mut unparsed__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Variant => {
                            if variant__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variant"));
                            }
                            variant__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Value => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("value"));
                            }
                            value__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Low => {
                            if low__.is_some() {
                                return Err(serde::de::Error::duplicate_field("low"));
                            }
                            low__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::High => {
                            if high__.is_some() {
                                return Err(serde::de::Error::duplicate_field("high"));
                            }
                            high__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Most => {
                            if most__.is_some() {
                                return Err(serde::de::Error::duplicate_field("most"));
                            }
                            most__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::N => {
                            if n__.is_some() {
                                return Err(serde::de::Error::duplicate_field("n"));
                            }
                            n__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Unparsed => {
                            if unparsed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("unparsed"));
                            }
                            unparsed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(BenchmarkMetric {
                    variant: variant__.unwrap_or_default(),
                    name: name__.unwrap_or_default(),
                    value: value__.unwrap_or_default(),
                    low: low__.unwrap_or_default(),
                    high: high__.unwrap_or_default(),
                    most: most__.unwrap_or_default(),
                    n: n__.unwrap_or_default(),
                    unparsed: unparsed__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.BenchmarkMetric", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for BlankImage {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.fill.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.BlankImage", len)?;
        if let Some(v) = self.fill.as_ref() {
            match v {
                blank_image::Fill::Colour(v) => {
                    let v = blank_image::Colour::try_from(*v)
                        .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", *v)))?;
                    struct_ser.serialize_field("colour", &v)?;
                }
                blank_image::Fill::Rgb(v) => {
                    struct_ser.serialize_field("rgb", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for BlankImage {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "colour",
            "rgb",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Colour,
            Rgb,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "colour" => Ok(GeneratedField::Colour),
                            "rgb" => Ok(GeneratedField::Rgb),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = BlankImage;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.BlankImage")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<BlankImage, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut fill__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Colour => {
                            if fill__.is_some() {
                                return Err(serde::de::Error::duplicate_field("colour"));
                            }
                            fill__ = map_.next_value::<::std::option::Option<blank_image::Colour>>()?.map(|x| blank_image::Fill::Colour(x as i32));
                        }
                        GeneratedField::Rgb => {
                            if fill__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rgb"));
                            }
                            fill__ = map_.next_value::<::std::option::Option<_>>()?.map(blank_image::Fill::Rgb)
;
                        }
                    }
                }
                Ok(BlankImage {
                    fill: fill__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.BlankImage", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for blank_image::Colour {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "COLOUR_UNSPECIFIED",
            Self::Black => "COLOUR_BLACK",
            Self::White => "COLOUR_WHITE",
            Self::Mean => "COLOUR_MEAN",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for blank_image::Colour {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "COLOUR_UNSPECIFIED",
            "COLOUR_BLACK",
            "COLOUR_WHITE",
            "COLOUR_MEAN",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = blank_image::Colour;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "COLOUR_UNSPECIFIED" => Ok(blank_image::Colour::Unspecified),
                    "COLOUR_BLACK" => Ok(blank_image::Colour::Black),
                    "COLOUR_WHITE" => Ok(blank_image::Colour::White),
                    "COLOUR_MEAN" => Ok(blank_image::Colour::Mean),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for CaptureFinished {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.text.is_empty() {
            len += 1;
        }
        if self.usage.is_some() {
            len += 1;
        }
        if self.provenance.is_some() {
            len += 1;
        }
        if !self.kept.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.CaptureFinished", len)?;
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        if let Some(v) = self.usage.as_ref() {
            struct_ser.serialize_field("usage", v)?;
        }
        if let Some(v) = self.provenance.as_ref() {
            struct_ser.serialize_field("provenance", v)?;
        }
        if !self.kept.is_empty() {
            struct_ser.serialize_field("kept", &self.kept)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CaptureFinished {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "text",
            "usage",
            "provenance",
            "kept",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Text,
            Usage,
            Provenance,
            Kept,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "text" => Ok(GeneratedField::Text),
                            "usage" => Ok(GeneratedField::Usage),
                            "provenance" => Ok(GeneratedField::Provenance),
                            "kept" => Ok(GeneratedField::Kept),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CaptureFinished;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.CaptureFinished")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CaptureFinished, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut text__ = None;
                let mut usage__ = None;
                let mut provenance__ = None;
                let mut kept__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Usage => {
                            if usage__.is_some() {
                                return Err(serde::de::Error::duplicate_field("usage"));
                            }
                            usage__ = map_.next_value()?;
                        }
                        GeneratedField::Provenance => {
                            if provenance__.is_some() {
                                return Err(serde::de::Error::duplicate_field("provenance"));
                            }
                            provenance__ = map_.next_value()?;
                        }
                        GeneratedField::Kept => {
                            if kept__.is_some() {
                                return Err(serde::de::Error::duplicate_field("kept"));
                            }
                            kept__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(CaptureFinished {
                    text: text__.unwrap_or_default(),
                    usage: usage__,
                    provenance: provenance__,
                    kept: kept__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.CaptureFinished", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CaptureRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if self.prompt.is_some() {
            len += 1;
        }
        if !self.interventions.is_empty() {
            len += 1;
        }
        if !self.targets.is_empty() {
            len += 1;
        }
        if self.dtype != 0 {
            len += 1;
        }
        if self.max_tokens != 0 {
            len += 1;
        }
        if self.max_bytes != 0 {
            len += 1;
        }
        if !self.sample_key.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.CaptureRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if let Some(v) = self.prompt.as_ref() {
            struct_ser.serialize_field("prompt", v)?;
        }
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        if !self.targets.is_empty() {
            struct_ser.serialize_field("targets", &self.targets)?;
        }
        if self.dtype != 0 {
            let v = DataType::try_from(self.dtype)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.dtype)))?;
            struct_ser.serialize_field("dtype", &v)?;
        }
        if self.max_tokens != 0 {
            struct_ser.serialize_field("maxTokens", &self.max_tokens)?;
        }
        if self.max_bytes != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("maxBytes", ToString::to_string(&self.max_bytes).as_str())?;
        }
        if !self.sample_key.is_empty() {
            struct_ser.serialize_field("sampleKey", &self.sample_key)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CaptureRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "prompt",
            "interventions",
            "targets",
            "dtype",
            "max_tokens",
            "maxTokens",
            "max_bytes",
            "maxBytes",
            "sample_key",
            "sampleKey",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            Prompt,
            Interventions,
            Targets,
            Dtype,
            MaxTokens,
            MaxBytes,
            SampleKey,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "prompt" => Ok(GeneratedField::Prompt),
                            "interventions" => Ok(GeneratedField::Interventions),
                            "targets" => Ok(GeneratedField::Targets),
                            "dtype" => Ok(GeneratedField::Dtype),
                            "maxTokens" | "max_tokens" => Ok(GeneratedField::MaxTokens),
                            "maxBytes" | "max_bytes" => Ok(GeneratedField::MaxBytes),
                            "sampleKey" | "sample_key" => Ok(GeneratedField::SampleKey),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CaptureRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.CaptureRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CaptureRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut prompt__ = None;
                let mut interventions__ = None;
                let mut targets__ = None;
                let mut dtype__ = None;
                let mut max_tokens__ = None;
                let mut max_bytes__ = None;
                let mut sample_key__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Prompt => {
                            if prompt__.is_some() {
                                return Err(serde::de::Error::duplicate_field("prompt"));
                            }
                            prompt__ = map_.next_value()?;
                        }
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Targets => {
                            if targets__.is_some() {
                                return Err(serde::de::Error::duplicate_field("targets"));
                            }
                            targets__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Dtype => {
                            if dtype__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dtype"));
                            }
                            dtype__ = Some(map_.next_value::<DataType>()? as i32);
                        }
                        GeneratedField::MaxTokens => {
                            if max_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxTokens"));
                            }
                            max_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MaxBytes => {
                            if max_bytes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxBytes"));
                            }
                            max_bytes__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::SampleKey => {
                            if sample_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampleKey"));
                            }
                            sample_key__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(CaptureRequest {
                    model: model__.unwrap_or_default(),
                    prompt: prompt__,
                    interventions: interventions__.unwrap_or_default(),
                    targets: targets__.unwrap_or_default(),
                    dtype: dtype__.unwrap_or_default(),
                    max_tokens: max_tokens__.unwrap_or_default(),
                    max_bytes: max_bytes__.unwrap_or_default(),
                    sample_key: sample_key__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.CaptureRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CaptureResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.CaptureResponse", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                capture_response::Event::Started(v) => {
                    struct_ser.serialize_field("started", v)?;
                }
                capture_response::Event::Activation(v) => {
                    struct_ser.serialize_field("activation", v)?;
                }
                capture_response::Event::Finished(v) => {
                    struct_ser.serialize_field("finished", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CaptureResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "started",
            "activation",
            "finished",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Started,
            Activation,
            Finished,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "started" => Ok(GeneratedField::Started),
                            "activation" => Ok(GeneratedField::Activation),
                            "finished" => Ok(GeneratedField::Finished),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CaptureResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.CaptureResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CaptureResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Started => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("started"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(capture_response::Event::Started)
;
                        }
                        GeneratedField::Activation => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("activation"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(capture_response::Event::Activation)
;
                        }
                        GeneratedField::Finished => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("finished"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(capture_response::Event::Finished)
;
                        }
                    }
                }
                Ok(CaptureResponse {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.CaptureResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CaptureTarget {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target.is_some() {
            len += 1;
        }
        if self.reduction != 0 {
            len += 1;
        }
        if self.top != 0 {
            len += 1;
        }
        if self.keep {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.CaptureTarget", len)?;
        if let Some(v) = self.target.as_ref() {
            struct_ser.serialize_field("target", v)?;
        }
        if self.reduction != 0 {
            let v = Reduction::try_from(self.reduction)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.reduction)))?;
            struct_ser.serialize_field("reduction", &v)?;
        }
        if self.top != 0 {
            struct_ser.serialize_field("top", &self.top)?;
        }
        if self.keep {
            struct_ser.serialize_field("keep", &self.keep)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CaptureTarget {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "reduction",
            "top",
            "keep",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Reduction,
            Top,
            Keep,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "reduction" => Ok(GeneratedField::Reduction),
                            "top" => Ok(GeneratedField::Top),
                            "keep" => Ok(GeneratedField::Keep),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CaptureTarget;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.CaptureTarget")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CaptureTarget, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut reduction__ = None;
                let mut top__ = None;
                let mut keep__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = map_.next_value()?;
                        }
                        GeneratedField::Reduction => {
                            if reduction__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reduction"));
                            }
                            reduction__ = Some(map_.next_value::<Reduction>()? as i32);
                        }
                        GeneratedField::Top => {
                            if top__.is_some() {
                                return Err(serde::de::Error::duplicate_field("top"));
                            }
                            top__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Keep => {
                            if keep__.is_some() {
                                return Err(serde::de::Error::duplicate_field("keep"));
                            }
                            keep__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(CaptureTarget {
                    target: target__,
                    reduction: reduction__.unwrap_or_default(),
                    top: top__.unwrap_or_default(),
                    keep: keep__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.CaptureTarget", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChatMessage {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.role != 0 {
            len += 1;
        }
        if !self.parts.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ChatMessage", len)?;
        if self.role != 0 {
            let v = Role::try_from(self.role)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.role)))?;
            struct_ser.serialize_field("role", &v)?;
        }
        if !self.parts.is_empty() {
            struct_ser.serialize_field("parts", &self.parts)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChatMessage {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "role",
            "parts",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Role,
            Parts,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "role" => Ok(GeneratedField::Role),
                            "parts" => Ok(GeneratedField::Parts),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChatMessage;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ChatMessage")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChatMessage, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut role__ = None;
                let mut parts__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Role => {
                            if role__.is_some() {
                                return Err(serde::de::Error::duplicate_field("role"));
                            }
                            role__ = Some(map_.next_value::<Role>()? as i32);
                        }
                        GeneratedField::Parts => {
                            if parts__.is_some() {
                                return Err(serde::de::Error::duplicate_field("parts"));
                            }
                            parts__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ChatMessage {
                    role: role__.unwrap_or_default(),
                    parts: parts__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ChatMessage", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChatPart {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.part.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ChatPart", len)?;
        if let Some(v) = self.part.as_ref() {
            match v {
                chat_part::Part::Text(v) => {
                    struct_ser.serialize_field("text", v)?;
                }
                chat_part::Part::Image(v) => {
                    struct_ser.serialize_field("image", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChatPart {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "text",
            "image",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Text,
            Image,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "text" => Ok(GeneratedField::Text),
                            "image" => Ok(GeneratedField::Image),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChatPart;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ChatPart")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChatPart, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut part__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Text => {
                            if part__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            part__ = map_.next_value::<::std::option::Option<_>>()?.map(chat_part::Part::Text);
                        }
                        GeneratedField::Image => {
                            if part__.is_some() {
                                return Err(serde::de::Error::duplicate_field("image"));
                            }
                            part__ = map_.next_value::<::std::option::Option<_>>()?.map(chat_part::Part::Image)
;
                        }
                    }
                }
                Ok(ChatPart {
                    part: part__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ChatPart", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChatTemplateInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.origin.is_empty() {
            len += 1;
        }
        if self.text_only {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ChatTemplateInfo", len)?;
        if !self.origin.is_empty() {
            struct_ser.serialize_field("origin", &self.origin)?;
        }
        if self.text_only {
            struct_ser.serialize_field("textOnly", &self.text_only)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChatTemplateInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "origin",
            "text_only",
            "textOnly",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Origin,
            TextOnly,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "origin" => Ok(GeneratedField::Origin),
                            "textOnly" | "text_only" => Ok(GeneratedField::TextOnly),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChatTemplateInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ChatTemplateInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChatTemplateInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut origin__ = None;
                let mut text_only__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Origin => {
                            if origin__.is_some() {
                                return Err(serde::de::Error::duplicate_field("origin"));
                            }
                            origin__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TextOnly => {
                            if text_only__.is_some() {
                                return Err(serde::de::Error::duplicate_field("textOnly"));
                            }
                            text_only__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ChatTemplateInfo {
                    origin: origin__.unwrap_or_default(),
                    text_only: text_only__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ChatTemplateInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CheckParityRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.CheckParityRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CheckParityRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CheckParityRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.CheckParityRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CheckParityRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(CheckParityRequest {
                    model: model__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.CheckParityRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CheckParityResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.CheckParityResponse", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                check_parity_response::Event::Case(v) => {
                    struct_ser.serialize_field("case", v)?;
                }
                check_parity_response::Event::Report(v) => {
                    struct_ser.serialize_field("report", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CheckParityResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "case",
            "report",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Case,
            Report,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "case" => Ok(GeneratedField::Case),
                            "report" => Ok(GeneratedField::Report),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CheckParityResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.CheckParityResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CheckParityResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Case => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("case"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(check_parity_response::Event::Case)
;
                        }
                        GeneratedField::Report => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("report"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(check_parity_response::Event::Report)
;
                        }
                    }
                }
                Ok(CheckParityResponse {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.CheckParityResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Comparison {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.variant.is_empty() {
            len += 1;
        }
        if self.n != 0 {
            len += 1;
        }
        if self.better != 0 {
            len += 1;
        }
        if self.worse != 0 {
            len += 1;
        }
        if self.difference != 0. {
            len += 1;
        }
        if self.low != 0. {
            len += 1;
        }
        if self.high != 0. {
            len += 1;
        }
        if self.p != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Comparison", len)?;
        if !self.variant.is_empty() {
            struct_ser.serialize_field("variant", &self.variant)?;
        }
        if self.n != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("n", ToString::to_string(&self.n).as_str())?;
        }
        if self.better != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("better", ToString::to_string(&self.better).as_str())?;
        }
        if self.worse != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("worse", ToString::to_string(&self.worse).as_str())?;
        }
        if self.difference != 0. {
            struct_ser.serialize_field("difference", &self.difference)?;
        }
        if self.low != 0. {
            struct_ser.serialize_field("low", &self.low)?;
        }
        if self.high != 0. {
            struct_ser.serialize_field("high", &self.high)?;
        }
        if self.p != 0. {
            struct_ser.serialize_field("p", &self.p)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Comparison {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "variant",
            "n",
            "better",
            "worse",
            "difference",
            "low",
            "high",
            "p",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Variant,
            N,
            Better,
            Worse,
            Difference,
            Low,
            High,
            P,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "variant" => Ok(GeneratedField::Variant),
                            "n" => Ok(GeneratedField::N),
                            "better" => Ok(GeneratedField::Better),
                            "worse" => Ok(GeneratedField::Worse),
                            "difference" => Ok(GeneratedField::Difference),
                            "low" => Ok(GeneratedField::Low),
                            "high" => Ok(GeneratedField::High),
                            "p" => Ok(GeneratedField::P),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Comparison;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Comparison")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Comparison, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut variant__ = None;
                let mut n__ = None;
                let mut better__ = None;
                let mut worse__ = None;
                let mut difference__ = None;
                let mut low__ = None;
                let mut high__ = None;
                let mut p__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Variant => {
                            if variant__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variant"));
                            }
                            variant__ = Some(map_.next_value()?);
                        }
                        GeneratedField::N => {
                            if n__.is_some() {
                                return Err(serde::de::Error::duplicate_field("n"));
                            }
                            n__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Better => {
                            if better__.is_some() {
                                return Err(serde::de::Error::duplicate_field("better"));
                            }
                            better__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Worse => {
                            if worse__.is_some() {
                                return Err(serde::de::Error::duplicate_field("worse"));
                            }
                            worse__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Difference => {
                            if difference__.is_some() {
                                return Err(serde::de::Error::duplicate_field("difference"));
                            }
                            difference__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Low => {
                            if low__.is_some() {
                                return Err(serde::de::Error::duplicate_field("low"));
                            }
                            low__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::High => {
                            if high__.is_some() {
                                return Err(serde::de::Error::duplicate_field("high"));
                            }
                            high__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::P => {
                            if p__.is_some() {
                                return Err(serde::de::Error::duplicate_field("p"));
                            }
                            p__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Comparison {
                    variant: variant__.unwrap_or_default(),
                    n: n__.unwrap_or_default(),
                    better: better__.unwrap_or_default(),
                    worse: worse__.unwrap_or_default(),
                    difference: difference__.unwrap_or_default(),
                    low: low__.unwrap_or_default(),
                    high: high__.unwrap_or_default(),
                    p: p__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Comparison", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Constant {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "CONSTANT_UNSPECIFIED",
            Self::Zero => "CONSTANT_ZERO",
            Self::Mean => "CONSTANT_MEAN",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Constant {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "CONSTANT_UNSPECIFIED",
            "CONSTANT_ZERO",
            "CONSTANT_MEAN",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Constant;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "CONSTANT_UNSPECIFIED" => Ok(Constant::Unspecified),
                    "CONSTANT_ZERO" => Ok(Constant::Zero),
                    "CONSTANT_MEAN" => Ok(Constant::Mean),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for ContinuationScore {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.tokens.is_empty() {
            len += 1;
        }
        if self.logprob != 0. {
            len += 1;
        }
        if self.mean_logprob != 0. {
            len += 1;
        }
        if self.logprob_per_byte != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ContinuationScore", len)?;
        if !self.tokens.is_empty() {
            struct_ser.serialize_field("tokens", &self.tokens)?;
        }
        if self.logprob != 0. {
            struct_ser.serialize_field("logprob", &self.logprob)?;
        }
        if self.mean_logprob != 0. {
            struct_ser.serialize_field("meanLogprob", &self.mean_logprob)?;
        }
        if self.logprob_per_byte != 0. {
            struct_ser.serialize_field("logprobPerByte", &self.logprob_per_byte)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ContinuationScore {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "tokens",
            "logprob",
            "mean_logprob",
            "meanLogprob",
            "logprob_per_byte",
            "logprobPerByte",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Tokens,
            Logprob,
            MeanLogprob,
            LogprobPerByte,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "tokens" => Ok(GeneratedField::Tokens),
                            "logprob" => Ok(GeneratedField::Logprob),
                            "meanLogprob" | "mean_logprob" => Ok(GeneratedField::MeanLogprob),
                            "logprobPerByte" | "logprob_per_byte" => Ok(GeneratedField::LogprobPerByte),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ContinuationScore;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ContinuationScore")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ContinuationScore, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut tokens__ = None;
                let mut logprob__ = None;
                let mut mean_logprob__ = None;
                let mut logprob_per_byte__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Tokens => {
                            if tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokens"));
                            }
                            tokens__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Logprob => {
                            if logprob__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logprob"));
                            }
                            logprob__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MeanLogprob => {
                            if mean_logprob__.is_some() {
                                return Err(serde::de::Error::duplicate_field("meanLogprob"));
                            }
                            mean_logprob__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::LogprobPerByte => {
                            if logprob_per_byte__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logprobPerByte"));
                            }
                            logprob_per_byte__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(ContinuationScore {
                    tokens: tokens__.unwrap_or_default(),
                    logprob: logprob__.unwrap_or_default(),
                    mean_logprob: mean_logprob__.unwrap_or_default(),
                    logprob_per_byte: logprob_per_byte__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ContinuationScore", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CustomRule {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.prompt.is_empty() {
            len += 1;
        }
        if self.reader != 0 {
            len += 1;
        }
        if self.max_tokens != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.CustomRule", len)?;
        if !self.prompt.is_empty() {
            struct_ser.serialize_field("prompt", &self.prompt)?;
        }
        if self.reader != 0 {
            let v = Reader::try_from(self.reader)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.reader)))?;
            struct_ser.serialize_field("reader", &v)?;
        }
        if self.max_tokens != 0 {
            struct_ser.serialize_field("maxTokens", &self.max_tokens)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CustomRule {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "prompt",
            "reader",
            "max_tokens",
            "maxTokens",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Prompt,
            Reader,
            MaxTokens,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "prompt" => Ok(GeneratedField::Prompt),
                            "reader" => Ok(GeneratedField::Reader),
                            "maxTokens" | "max_tokens" => Ok(GeneratedField::MaxTokens),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CustomRule;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.CustomRule")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CustomRule, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut prompt__ = None;
                let mut reader__ = None;
                let mut max_tokens__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Prompt => {
                            if prompt__.is_some() {
                                return Err(serde::de::Error::duplicate_field("prompt"));
                            }
                            prompt__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Reader => {
                            if reader__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reader"));
                            }
                            reader__ = Some(map_.next_value::<Reader>()? as i32);
                        }
                        GeneratedField::MaxTokens => {
                            if max_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxTokens"));
                            }
                            max_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(CustomRule {
                    prompt: prompt__.unwrap_or_default(),
                    reader: reader__.unwrap_or_default(),
                    max_tokens: max_tokens__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.CustomRule", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for DataType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "DATA_TYPE_UNSPECIFIED",
            Self::F32 => "DATA_TYPE_F32",
            Self::Bf16 => "DATA_TYPE_BF16",
            Self::F16 => "DATA_TYPE_F16",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for DataType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "DATA_TYPE_UNSPECIFIED",
            "DATA_TYPE_F32",
            "DATA_TYPE_BF16",
            "DATA_TYPE_F16",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = DataType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "DATA_TYPE_UNSPECIFIED" => Ok(DataType::Unspecified),
                    "DATA_TYPE_F32" => Ok(DataType::F32),
                    "DATA_TYPE_BF16" => Ok(DataType::Bf16),
                    "DATA_TYPE_F16" => Ok(DataType::F16),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for DescribeRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("scotoma.v1.DescribeRequest", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for DescribeRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Err(serde::de::Error::unknown_field(value, FIELDS))
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = DescribeRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.DescribeRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<DescribeRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(DescribeRequest {
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.DescribeRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for DescribeResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.rules.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.DescribeResponse", len)?;
        if !self.rules.is_empty() {
            struct_ser.serialize_field("rules", &self.rules)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for DescribeResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "rules",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Rules,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "rules" => Ok(GeneratedField::Rules),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = DescribeResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.DescribeResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<DescribeResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut rules__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Rules => {
                            if rules__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rules"));
                            }
                            rules__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(DescribeResponse {
                    rules: rules__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.DescribeResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Difference {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.stage.is_empty() {
            len += 1;
        }
        if !self.recorded.is_empty() {
            len += 1;
        }
        if !self.found.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Difference", len)?;
        if !self.stage.is_empty() {
            struct_ser.serialize_field("stage", &self.stage)?;
        }
        if !self.recorded.is_empty() {
            struct_ser.serialize_field("recorded", &self.recorded)?;
        }
        if !self.found.is_empty() {
            struct_ser.serialize_field("found", &self.found)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Difference {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "stage",
            "recorded",
            "found",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Stage,
            Recorded,
            Found,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "stage" => Ok(GeneratedField::Stage),
                            "recorded" => Ok(GeneratedField::Recorded),
                            "found" => Ok(GeneratedField::Found),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Difference;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Difference")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Difference, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut stage__ = None;
                let mut recorded__ = None;
                let mut found__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Stage => {
                            if stage__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stage"));
                            }
                            stage__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Recorded => {
                            if recorded__.is_some() {
                                return Err(serde::de::Error::duplicate_field("recorded"));
                            }
                            recorded__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Found => {
                            if found__.is_some() {
                                return Err(serde::de::Error::duplicate_field("found"));
                            }
                            found__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Difference {
                    stage: stage__.unwrap_or_default(),
                    recorded: recorded__.unwrap_or_default(),
                    found: found__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Difference", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Direction {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.values.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Direction", len)?;
        if !self.values.is_empty() {
            struct_ser.serialize_field("values", &self.values)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Direction {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "values",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Values,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "values" => Ok(GeneratedField::Values),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Direction;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Direction")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Direction, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut values__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Values => {
                            if values__.is_some() {
                                return Err(serde::de::Error::duplicate_field("values"));
                            }
                            values__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(Direction {
                    values: values__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Direction", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Donor {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.data.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Donor", len)?;
        if !self.data.is_empty() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("data", pbjson::private::base64::encode(&self.data).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Donor {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "data",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Data,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "data" => Ok(GeneratedField::Data),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Donor;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Donor")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Donor, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut data__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Data => {
                            if data__.is_some() {
                                return Err(serde::de::Error::duplicate_field("data"));
                            }
                            data__ = 
                                Some(map_.next_value::<::pbjson::private::BytesDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Donor {
                    data: data__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Donor", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for DropLayers {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.stack != 0 {
            len += 1;
        }
        if !self.layers.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.DropLayers", len)?;
        if self.stack != 0 {
            let v = Stack::try_from(self.stack)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.stack)))?;
            struct_ser.serialize_field("stack", &v)?;
        }
        if !self.layers.is_empty() {
            struct_ser.serialize_field("layers", &self.layers)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for DropLayers {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "stack",
            "layers",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Stack,
            Layers,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "stack" => Ok(GeneratedField::Stack),
                            "layers" => Ok(GeneratedField::Layers),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = DropLayers;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.DropLayers")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<DropLayers, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut stack__ = None;
                let mut layers__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Stack => {
                            if stack__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stack"));
                            }
                            stack__ = Some(map_.next_value::<Stack>()? as i32);
                        }
                        GeneratedField::Layers => {
                            if layers__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layers"));
                            }
                            layers__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(DropLayers {
                    stack: stack__.unwrap_or_default(),
                    layers: layers__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.DropLayers", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluateFinished {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.results != 0 {
            len += 1;
        }
        if self.failed != 0 {
            len += 1;
        }
        if !self.metrics.is_empty() {
            len += 1;
        }
        if !self.comparisons.is_empty() {
            len += 1;
        }
        if self.rows_computed != 0 {
            len += 1;
        }
        if self.total_seconds != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.EvaluateFinished", len)?;
        if self.results != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("results", ToString::to_string(&self.results).as_str())?;
        }
        if self.failed != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("failed", ToString::to_string(&self.failed).as_str())?;
        }
        if !self.metrics.is_empty() {
            struct_ser.serialize_field("metrics", &self.metrics)?;
        }
        if !self.comparisons.is_empty() {
            struct_ser.serialize_field("comparisons", &self.comparisons)?;
        }
        if self.rows_computed != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("rowsComputed", ToString::to_string(&self.rows_computed).as_str())?;
        }
        if self.total_seconds != 0. {
            struct_ser.serialize_field("totalSeconds", &self.total_seconds)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluateFinished {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "results",
            "failed",
            "metrics",
            "comparisons",
            "rows_computed",
            "rowsComputed",
            "total_seconds",
            "totalSeconds",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Results,
            Failed,
            Metrics,
            Comparisons,
            RowsComputed,
            TotalSeconds,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "results" => Ok(GeneratedField::Results),
                            "failed" => Ok(GeneratedField::Failed),
                            "metrics" => Ok(GeneratedField::Metrics),
                            "comparisons" => Ok(GeneratedField::Comparisons),
                            "rowsComputed" | "rows_computed" => Ok(GeneratedField::RowsComputed),
                            "totalSeconds" | "total_seconds" => Ok(GeneratedField::TotalSeconds),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluateFinished;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.EvaluateFinished")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluateFinished, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut results__ = None;
                let mut failed__ = None;
                let mut metrics__ = None;
                let mut comparisons__ = None;
                let mut rows_computed__ = None;
                let mut total_seconds__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Results => {
                            if results__.is_some() {
                                return Err(serde::de::Error::duplicate_field("results"));
                            }
                            results__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Failed => {
                            if failed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("failed"));
                            }
                            failed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Metrics => {
                            if metrics__.is_some() {
                                return Err(serde::de::Error::duplicate_field("metrics"));
                            }
                            metrics__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Comparisons => {
                            if comparisons__.is_some() {
                                return Err(serde::de::Error::duplicate_field("comparisons"));
                            }
                            comparisons__ = Some(map_.next_value()?);
                        }
                        GeneratedField::RowsComputed => {
                            if rows_computed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rowsComputed"));
                            }
                            rows_computed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TotalSeconds => {
                            if total_seconds__.is_some() {
                                return Err(serde::de::Error::duplicate_field("totalSeconds"));
                            }
                            total_seconds__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(EvaluateFinished {
                    results: results__.unwrap_or_default(),
                    failed: failed__.unwrap_or_default(),
                    metrics: metrics__.unwrap_or_default(),
                    comparisons: comparisons__.unwrap_or_default(),
                    rows_computed: rows_computed__.unwrap_or_default(),
                    total_seconds: total_seconds__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.EvaluateFinished", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluateHeader {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if !self.variants.is_empty() {
            len += 1;
        }
        if self.answering != 0 {
            len += 1;
        }
        if self.sampling.is_some() {
            len += 1;
        }
        if self.max_tokens != 0 {
            len += 1;
        }
        if self.progress_every != 0 {
            len += 1;
        }
        if self.unjudged {
            len += 1;
        }
        if !self.columns.is_empty() {
            len += 1;
        }
        if self.multi_image != 0 {
            len += 1;
        }
        if self.rules.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.EvaluateHeader", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if !self.variants.is_empty() {
            struct_ser.serialize_field("variants", &self.variants)?;
        }
        if self.answering != 0 {
            let v = Answering::try_from(self.answering)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.answering)))?;
            struct_ser.serialize_field("answering", &v)?;
        }
        if let Some(v) = self.sampling.as_ref() {
            struct_ser.serialize_field("sampling", v)?;
        }
        if self.max_tokens != 0 {
            struct_ser.serialize_field("maxTokens", &self.max_tokens)?;
        }
        if self.progress_every != 0 {
            struct_ser.serialize_field("progressEvery", &self.progress_every)?;
        }
        if self.unjudged {
            struct_ser.serialize_field("unjudged", &self.unjudged)?;
        }
        if !self.columns.is_empty() {
            struct_ser.serialize_field("columns", &self.columns)?;
        }
        if self.multi_image != 0 {
            let v = MultiImage::try_from(self.multi_image)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.multi_image)))?;
            struct_ser.serialize_field("multiImage", &v)?;
        }
        if let Some(v) = self.rules.as_ref() {
            match v {
                evaluate_header::Rules::Rule(v) => {
                    struct_ser.serialize_field("rule", v)?;
                }
                evaluate_header::Rules::Custom(v) => {
                    struct_ser.serialize_field("custom", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluateHeader {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "variants",
            "answering",
            "sampling",
            "max_tokens",
            "maxTokens",
            "progress_every",
            "progressEvery",
            "unjudged",
            "columns",
            "multi_image",
            "multiImage",
            "rule",
            "custom",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            Variants,
            Answering,
            Sampling,
            MaxTokens,
            ProgressEvery,
            Unjudged,
            Columns,
            MultiImage,
            Rule,
            Custom,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "variants" => Ok(GeneratedField::Variants),
                            "answering" => Ok(GeneratedField::Answering),
                            "sampling" => Ok(GeneratedField::Sampling),
                            "maxTokens" | "max_tokens" => Ok(GeneratedField::MaxTokens),
                            "progressEvery" | "progress_every" => Ok(GeneratedField::ProgressEvery),
                            "unjudged" => Ok(GeneratedField::Unjudged),
                            "columns" => Ok(GeneratedField::Columns),
                            "multiImage" | "multi_image" => Ok(GeneratedField::MultiImage),
                            "rule" => Ok(GeneratedField::Rule),
                            "custom" => Ok(GeneratedField::Custom),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluateHeader;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.EvaluateHeader")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluateHeader, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut variants__ = None;
                let mut answering__ = None;
                let mut sampling__ = None;
                let mut max_tokens__ = None;
                let mut progress_every__ = None;
                let mut unjudged__ = None;
                let mut columns__ = None;
                let mut multi_image__ = None;
                let mut rules__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Variants => {
                            if variants__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variants"));
                            }
                            variants__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Answering => {
                            if answering__.is_some() {
                                return Err(serde::de::Error::duplicate_field("answering"));
                            }
                            answering__ = Some(map_.next_value::<Answering>()? as i32);
                        }
                        GeneratedField::Sampling => {
                            if sampling__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampling"));
                            }
                            sampling__ = map_.next_value()?;
                        }
                        GeneratedField::MaxTokens => {
                            if max_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxTokens"));
                            }
                            max_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::ProgressEvery => {
                            if progress_every__.is_some() {
                                return Err(serde::de::Error::duplicate_field("progressEvery"));
                            }
                            progress_every__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Unjudged => {
                            if unjudged__.is_some() {
                                return Err(serde::de::Error::duplicate_field("unjudged"));
                            }
                            unjudged__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Columns => {
                            if columns__.is_some() {
                                return Err(serde::de::Error::duplicate_field("columns"));
                            }
                            columns__ = Some(
                                map_.next_value::<std::collections::HashMap<_, _>>()?
                            );
                        }
                        GeneratedField::MultiImage => {
                            if multi_image__.is_some() {
                                return Err(serde::de::Error::duplicate_field("multiImage"));
                            }
                            multi_image__ = Some(map_.next_value::<MultiImage>()? as i32);
                        }
                        GeneratedField::Rule => {
                            if rules__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rule"));
                            }
                            rules__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_header::Rules::Rule);
                        }
                        GeneratedField::Custom => {
                            if rules__.is_some() {
                                return Err(serde::de::Error::duplicate_field("custom"));
                            }
                            rules__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_header::Rules::Custom)
;
                        }
                    }
                }
                Ok(EvaluateHeader {
                    model: model__.unwrap_or_default(),
                    variants: variants__.unwrap_or_default(),
                    answering: answering__.unwrap_or_default(),
                    sampling: sampling__,
                    max_tokens: max_tokens__.unwrap_or_default(),
                    progress_every: progress_every__.unwrap_or_default(),
                    unjudged: unjudged__.unwrap_or_default(),
                    columns: columns__.unwrap_or_default(),
                    multi_image: multi_image__.unwrap_or_default(),
                    rules: rules__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.EvaluateHeader", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluateProgress {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.results != 0 {
            len += 1;
        }
        if !self.metrics.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.EvaluateProgress", len)?;
        if self.results != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("results", ToString::to_string(&self.results).as_str())?;
        }
        if !self.metrics.is_empty() {
            struct_ser.serialize_field("metrics", &self.metrics)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluateProgress {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "results",
            "metrics",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Results,
            Metrics,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "results" => Ok(GeneratedField::Results),
                            "metrics" => Ok(GeneratedField::Metrics),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluateProgress;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.EvaluateProgress")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluateProgress, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut results__ = None;
                let mut metrics__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Results => {
                            if results__.is_some() {
                                return Err(serde::de::Error::duplicate_field("results"));
                            }
                            results__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Metrics => {
                            if metrics__.is_some() {
                                return Err(serde::de::Error::duplicate_field("metrics"));
                            }
                            metrics__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(EvaluateProgress {
                    results: results__.unwrap_or_default(),
                    metrics: metrics__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.EvaluateProgress", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluateRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.EvaluateRequest", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                evaluate_request::Event::Header(v) => {
                    struct_ser.serialize_field("header", v)?;
                }
                evaluate_request::Event::Sample(v) => {
                    struct_ser.serialize_field("sample", v)?;
                }
                evaluate_request::Event::Known(v) => {
                    struct_ser.serialize_field("known", v)?;
                }
                evaluate_request::Event::Row(v) => {
                    struct_ser.serialize_field("row", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluateRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "header",
            "sample",
            "known",
            "row",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Header,
            Sample,
            Known,
            Row,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "header" => Ok(GeneratedField::Header),
                            "sample" => Ok(GeneratedField::Sample),
                            "known" => Ok(GeneratedField::Known),
                            "row" => Ok(GeneratedField::Row),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluateRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.EvaluateRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluateRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Header => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("header"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_request::Event::Header)
;
                        }
                        GeneratedField::Sample => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sample"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_request::Event::Sample)
;
                        }
                        GeneratedField::Known => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("known"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_request::Event::Known)
;
                        }
                        GeneratedField::Row => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("row"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_request::Event::Row)
;
                        }
                    }
                }
                Ok(EvaluateRequest {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.EvaluateRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluateResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.EvaluateResponse", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                evaluate_response::Event::Started(v) => {
                    struct_ser.serialize_field("started", v)?;
                }
                evaluate_response::Event::Result(v) => {
                    struct_ser.serialize_field("result", v)?;
                }
                evaluate_response::Event::Progress(v) => {
                    struct_ser.serialize_field("progress", v)?;
                }
                evaluate_response::Event::Finished(v) => {
                    struct_ser.serialize_field("finished", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluateResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "started",
            "result",
            "progress",
            "finished",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Started,
            Result,
            Progress,
            Finished,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "started" => Ok(GeneratedField::Started),
                            "result" => Ok(GeneratedField::Result),
                            "progress" => Ok(GeneratedField::Progress),
                            "finished" => Ok(GeneratedField::Finished),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluateResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.EvaluateResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluateResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Started => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("started"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_response::Event::Started)
;
                        }
                        GeneratedField::Result => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("result"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_response::Event::Result)
;
                        }
                        GeneratedField::Progress => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("progress"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_response::Event::Progress)
;
                        }
                        GeneratedField::Finished => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("finished"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(evaluate_response::Event::Finished)
;
                        }
                    }
                }
                Ok(EvaluateResponse {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.EvaluateResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluateStarted {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.request_id.is_empty() {
            len += 1;
        }
        if !self.rule.is_empty() {
            len += 1;
        }
        if !self.model_digest.is_empty() {
            len += 1;
        }
        if self.header.is_some() {
            len += 1;
        }
        if self.judge.is_some() {
            len += 1;
        }
        if !self.server_version.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.EvaluateStarted", len)?;
        if !self.request_id.is_empty() {
            struct_ser.serialize_field("requestId", &self.request_id)?;
        }
        if !self.rule.is_empty() {
            struct_ser.serialize_field("rule", &self.rule)?;
        }
        if !self.model_digest.is_empty() {
            struct_ser.serialize_field("modelDigest", &self.model_digest)?;
        }
        if let Some(v) = self.header.as_ref() {
            struct_ser.serialize_field("header", v)?;
        }
        if let Some(v) = self.judge.as_ref() {
            struct_ser.serialize_field("judge", v)?;
        }
        if !self.server_version.is_empty() {
            struct_ser.serialize_field("serverVersion", &self.server_version)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluateStarted {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "request_id",
            "requestId",
            "rule",
            "model_digest",
            "modelDigest",
            "header",
            "judge",
            "server_version",
            "serverVersion",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RequestId,
            Rule,
            ModelDigest,
            Header,
            Judge,
            ServerVersion,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "requestId" | "request_id" => Ok(GeneratedField::RequestId),
                            "rule" => Ok(GeneratedField::Rule),
                            "modelDigest" | "model_digest" => Ok(GeneratedField::ModelDigest),
                            "header" => Ok(GeneratedField::Header),
                            "judge" => Ok(GeneratedField::Judge),
                            "serverVersion" | "server_version" => Ok(GeneratedField::ServerVersion),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluateStarted;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.EvaluateStarted")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluateStarted, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut request_id__ = None;
                let mut rule__ = None;
                let mut model_digest__ = None;
                let mut header__ = None;
                let mut judge__ = None;
                let mut server_version__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RequestId => {
                            if request_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("requestId"));
                            }
                            request_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Rule => {
                            if rule__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rule"));
                            }
                            rule__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ModelDigest => {
                            if model_digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("modelDigest"));
                            }
                            model_digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Header => {
                            if header__.is_some() {
                                return Err(serde::de::Error::duplicate_field("header"));
                            }
                            header__ = map_.next_value()?;
                        }
                        GeneratedField::Judge => {
                            if judge__.is_some() {
                                return Err(serde::de::Error::duplicate_field("judge"));
                            }
                            judge__ = map_.next_value()?;
                        }
                        GeneratedField::ServerVersion => {
                            if server_version__.is_some() {
                                return Err(serde::de::Error::duplicate_field("serverVersion"));
                            }
                            server_version__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(EvaluateStarted {
                    request_id: request_id__.unwrap_or_default(),
                    rule: rule__.unwrap_or_default(),
                    model_digest: model_digest__.unwrap_or_default(),
                    header: header__,
                    judge: judge__,
                    server_version: server_version__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.EvaluateStarted", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluateVariant {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.interventions.is_empty() {
            len += 1;
        }
        if !self.pictures.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.EvaluateVariant", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        if !self.pictures.is_empty() {
            struct_ser.serialize_field("pictures", &self.pictures)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluateVariant {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "interventions",
            "pictures",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            Interventions,
            Pictures,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "interventions" => Ok(GeneratedField::Interventions),
                            "pictures" => Ok(GeneratedField::Pictures),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluateVariant;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.EvaluateVariant")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluateVariant, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut interventions__ = None;
                let mut pictures__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Pictures => {
                            if pictures__.is_some() {
                                return Err(serde::de::Error::duplicate_field("pictures"));
                            }
                            pictures__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(EvaluateVariant {
                    name: name__.unwrap_or_default(),
                    interventions: interventions__.unwrap_or_default(),
                    pictures: pictures__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.EvaluateVariant", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ExitEarly {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.stack != 0 {
            len += 1;
        }
        if self.layer != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ExitEarly", len)?;
        if self.stack != 0 {
            let v = Stack::try_from(self.stack)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.stack)))?;
            struct_ser.serialize_field("stack", &v)?;
        }
        if self.layer != 0 {
            struct_ser.serialize_field("layer", &self.layer)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ExitEarly {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "stack",
            "layer",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Stack,
            Layer,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "stack" => Ok(GeneratedField::Stack),
                            "layer" => Ok(GeneratedField::Layer),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ExitEarly;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ExitEarly")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ExitEarly, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut stack__ = None;
                let mut layer__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Stack => {
                            if stack__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stack"));
                            }
                            stack__ = Some(map_.next_value::<Stack>()? as i32);
                        }
                        GeneratedField::Layer => {
                            if layer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layer"));
                            }
                            layer__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(ExitEarly {
                    stack: stack__.unwrap_or_default(),
                    layer: layer__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ExitEarly", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for FinishReason {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "FINISH_REASON_UNSPECIFIED",
            Self::Eos => "FINISH_REASON_EOS",
            Self::Length => "FINISH_REASON_LENGTH",
            Self::Stop => "FINISH_REASON_STOP",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for FinishReason {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "FINISH_REASON_UNSPECIFIED",
            "FINISH_REASON_EOS",
            "FINISH_REASON_LENGTH",
            "FINISH_REASON_STOP",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = FinishReason;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "FINISH_REASON_UNSPECIFIED" => Ok(FinishReason::Unspecified),
                    "FINISH_REASON_EOS" => Ok(FinishReason::Eos),
                    "FINISH_REASON_LENGTH" => Ok(FinishReason::Length),
                    "FINISH_REASON_STOP" => Ok(FinishReason::Stop),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Finished {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.reason != 0 {
            len += 1;
        }
        if !self.text.is_empty() {
            len += 1;
        }
        if self.usage.is_some() {
            len += 1;
        }
        if self.provenance.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Finished", len)?;
        if self.reason != 0 {
            let v = FinishReason::try_from(self.reason)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.reason)))?;
            struct_ser.serialize_field("reason", &v)?;
        }
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        if let Some(v) = self.usage.as_ref() {
            struct_ser.serialize_field("usage", v)?;
        }
        if let Some(v) = self.provenance.as_ref() {
            struct_ser.serialize_field("provenance", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Finished {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "reason",
            "text",
            "usage",
            "provenance",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Reason,
            Text,
            Usage,
            Provenance,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "reason" => Ok(GeneratedField::Reason),
                            "text" => Ok(GeneratedField::Text),
                            "usage" => Ok(GeneratedField::Usage),
                            "provenance" => Ok(GeneratedField::Provenance),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Finished;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Finished")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Finished, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut reason__ = None;
                let mut text__ = None;
                let mut usage__ = None;
                let mut provenance__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value::<FinishReason>()? as i32);
                        }
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Usage => {
                            if usage__.is_some() {
                                return Err(serde::de::Error::duplicate_field("usage"));
                            }
                            usage__ = map_.next_value()?;
                        }
                        GeneratedField::Provenance => {
                            if provenance__.is_some() {
                                return Err(serde::de::Error::duplicate_field("provenance"));
                            }
                            provenance__ = map_.next_value()?;
                        }
                    }
                }
                Ok(Finished {
                    reason: reason__.unwrap_or_default(),
                    text: text__.unwrap_or_default(),
                    usage: usage__,
                    provenance: provenance__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Finished", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for GenerateRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if self.prompt.is_some() {
            len += 1;
        }
        if !self.interventions.is_empty() {
            len += 1;
        }
        if self.sampling.is_some() {
            len += 1;
        }
        if self.max_tokens != 0 {
            len += 1;
        }
        if !self.stop.is_empty() {
            len += 1;
        }
        if self.top_logprobs != 0 {
            len += 1;
        }
        if !self.sample_key.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.GenerateRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if let Some(v) = self.prompt.as_ref() {
            struct_ser.serialize_field("prompt", v)?;
        }
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        if let Some(v) = self.sampling.as_ref() {
            struct_ser.serialize_field("sampling", v)?;
        }
        if self.max_tokens != 0 {
            struct_ser.serialize_field("maxTokens", &self.max_tokens)?;
        }
        if !self.stop.is_empty() {
            struct_ser.serialize_field("stop", &self.stop)?;
        }
        if self.top_logprobs != 0 {
            struct_ser.serialize_field("topLogprobs", &self.top_logprobs)?;
        }
        if !self.sample_key.is_empty() {
            struct_ser.serialize_field("sampleKey", &self.sample_key)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for GenerateRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "prompt",
            "interventions",
            "sampling",
            "max_tokens",
            "maxTokens",
            "stop",
            "top_logprobs",
            "topLogprobs",
            "sample_key",
            "sampleKey",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            Prompt,
            Interventions,
            Sampling,
            MaxTokens,
            Stop,
            TopLogprobs,
            SampleKey,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "prompt" => Ok(GeneratedField::Prompt),
                            "interventions" => Ok(GeneratedField::Interventions),
                            "sampling" => Ok(GeneratedField::Sampling),
                            "maxTokens" | "max_tokens" => Ok(GeneratedField::MaxTokens),
                            "stop" => Ok(GeneratedField::Stop),
                            "topLogprobs" | "top_logprobs" => Ok(GeneratedField::TopLogprobs),
                            "sampleKey" | "sample_key" => Ok(GeneratedField::SampleKey),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = GenerateRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.GenerateRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<GenerateRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut prompt__ = None;
                let mut interventions__ = None;
                let mut sampling__ = None;
                let mut max_tokens__ = None;
                let mut stop__ = None;
                let mut top_logprobs__ = None;
                let mut sample_key__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Prompt => {
                            if prompt__.is_some() {
                                return Err(serde::de::Error::duplicate_field("prompt"));
                            }
                            prompt__ = map_.next_value()?;
                        }
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Sampling => {
                            if sampling__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampling"));
                            }
                            sampling__ = map_.next_value()?;
                        }
                        GeneratedField::MaxTokens => {
                            if max_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxTokens"));
                            }
                            max_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Stop => {
                            if stop__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stop"));
                            }
                            stop__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TopLogprobs => {
                            if top_logprobs__.is_some() {
                                return Err(serde::de::Error::duplicate_field("topLogprobs"));
                            }
                            top_logprobs__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::SampleKey => {
                            if sample_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampleKey"));
                            }
                            sample_key__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(GenerateRequest {
                    model: model__.unwrap_or_default(),
                    prompt: prompt__,
                    interventions: interventions__.unwrap_or_default(),
                    sampling: sampling__,
                    max_tokens: max_tokens__.unwrap_or_default(),
                    stop: stop__.unwrap_or_default(),
                    top_logprobs: top_logprobs__.unwrap_or_default(),
                    sample_key: sample_key__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.GenerateRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for GenerateResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.GenerateResponse", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                generate_response::Event::Started(v) => {
                    struct_ser.serialize_field("started", v)?;
                }
                generate_response::Event::Token(v) => {
                    struct_ser.serialize_field("token", v)?;
                }
                generate_response::Event::Finished(v) => {
                    struct_ser.serialize_field("finished", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for GenerateResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "started",
            "token",
            "finished",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Started,
            Token,
            Finished,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "started" => Ok(GeneratedField::Started),
                            "token" => Ok(GeneratedField::Token),
                            "finished" => Ok(GeneratedField::Finished),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = GenerateResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.GenerateResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<GenerateResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Started => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("started"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(generate_response::Event::Started)
;
                        }
                        GeneratedField::Token => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("token"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(generate_response::Event::Token)
;
                        }
                        GeneratedField::Finished => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("finished"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(generate_response::Event::Finished)
;
                        }
                    }
                }
                Ok(GenerateResponse {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.GenerateResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for GetModelRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.GetModelRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for GetModelRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = GetModelRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.GetModelRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<GetModelRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(GetModelRequest {
                    model: model__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.GetModelRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for GetModelResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.model.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.GetModelResponse", len)?;
        if let Some(v) = self.model.as_ref() {
            struct_ser.serialize_field("model", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for GetModelResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = GetModelResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.GetModelResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<GetModelResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = map_.next_value()?;
                        }
                    }
                }
                Ok(GetModelResponse {
                    model: model__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.GetModelResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for HookPoint {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if self.layers != 0 {
            len += 1;
        }
        if !self.equation.is_empty() {
            len += 1;
        }
        if !self.shape.is_empty() {
            len += 1;
        }
        if self.width != 0 {
            len += 1;
        }
        if self.heads != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.HookPoint", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if self.layers != 0 {
            struct_ser.serialize_field("layers", &self.layers)?;
        }
        if !self.equation.is_empty() {
            struct_ser.serialize_field("equation", &self.equation)?;
        }
        if !self.shape.is_empty() {
            struct_ser.serialize_field("shape", &self.shape)?;
        }
        if self.width != 0 {
            struct_ser.serialize_field("width", &self.width)?;
        }
        if self.heads != 0 {
            struct_ser.serialize_field("heads", &self.heads)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for HookPoint {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "layers",
            "equation",
            "shape",
            "width",
            "heads",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            Layers,
            Equation,
            Shape,
            Width,
            Heads,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "layers" => Ok(GeneratedField::Layers),
                            "equation" => Ok(GeneratedField::Equation),
                            "shape" => Ok(GeneratedField::Shape),
                            "width" => Ok(GeneratedField::Width),
                            "heads" => Ok(GeneratedField::Heads),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = HookPoint;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.HookPoint")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<HookPoint, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut layers__ = None;
                let mut equation__ = None;
                let mut shape__ = None;
                let mut width__ = None;
                let mut heads__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Layers => {
                            if layers__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layers"));
                            }
                            layers__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Equation => {
                            if equation__.is_some() {
                                return Err(serde::de::Error::duplicate_field("equation"));
                            }
                            equation__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Shape => {
                            if shape__.is_some() {
                                return Err(serde::de::Error::duplicate_field("shape"));
                            }
                            shape__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Width => {
                            if width__.is_some() {
                                return Err(serde::de::Error::duplicate_field("width"));
                            }
                            width__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Heads => {
                            if heads__.is_some() {
                                return Err(serde::de::Error::duplicate_field("heads"));
                            }
                            heads__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(HookPoint {
                    name: name__.unwrap_or_default(),
                    layers: layers__.unwrap_or_default(),
                    equation: equation__.unwrap_or_default(),
                    shape: shape__.unwrap_or_default(),
                    width: width__.unwrap_or_default(),
                    heads: heads__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.HookPoint", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for IdentityProjector {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("scotoma.v1.IdentityProjector", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for IdentityProjector {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Err(serde::de::Error::unknown_field(value, FIELDS))
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = IdentityProjector;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.IdentityProjector")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<IdentityProjector, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(IdentityProjector {
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.IdentityProjector", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Image {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.source.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Image", len)?;
        if let Some(v) = self.source.as_ref() {
            match v {
                image::Source::Data(v) => {
                    #[allow(clippy::needless_borrow)]
                    #[allow(clippy::needless_borrows_for_generic_args)]
                    struct_ser.serialize_field("data", pbjson::private::base64::encode(&v).as_str())?;
                }
                image::Source::Handle(v) => {
                    struct_ser.serialize_field("handle", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Image {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "data",
            "handle",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Data,
            Handle,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "data" => Ok(GeneratedField::Data),
                            "handle" => Ok(GeneratedField::Handle),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Image;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Image")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Image, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut source__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Data => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("data"));
                            }
                            source__ = map_.next_value::<::std::option::Option<::pbjson::private::BytesDeserialize<_>>>()?.map(|x| image::Source::Data(x.0));
                        }
                        GeneratedField::Handle => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("handle"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(image::Source::Handle);
                        }
                    }
                }
                Ok(Image {
                    source: source__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Image", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Intervention {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.kind.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Intervention", len)?;
        if let Some(v) = self.kind.as_ref() {
            match v {
                intervention::Kind::PermuteTokens(v) => {
                    struct_ser.serialize_field("permuteTokens", v)?;
                }
                intervention::Kind::OccludePatches(v) => {
                    struct_ser.serialize_field("occludePatches", v)?;
                }
                intervention::Kind::DropLayers(v) => {
                    struct_ser.serialize_field("dropLayers", v)?;
                }
                intervention::Kind::SwapProjector(v) => {
                    struct_ser.serialize_field("swapProjector", v)?;
                }
                intervention::Kind::BlankImage(v) => {
                    struct_ser.serialize_field("blankImage", v)?;
                }
                intervention::Kind::ShufflePatches(v) => {
                    struct_ser.serialize_field("shufflePatches", v)?;
                }
                intervention::Kind::SelectTokens(v) => {
                    struct_ser.serialize_field("selectTokens", v)?;
                }
                intervention::Kind::ReplaceTokens(v) => {
                    struct_ser.serialize_field("replaceTokens", v)?;
                }
                intervention::Kind::RepeatLayers(v) => {
                    struct_ser.serialize_field("repeatLayers", v)?;
                }
                intervention::Kind::ExitEarly(v) => {
                    struct_ser.serialize_field("exitEarly", v)?;
                }
                intervention::Kind::AddNoise(v) => {
                    struct_ser.serialize_field("addNoise", v)?;
                }
                intervention::Kind::Steer(v) => {
                    struct_ser.serialize_field("steer", v)?;
                }
                intervention::Kind::ProjectOut(v) => {
                    struct_ser.serialize_field("projectOut", v)?;
                }
                intervention::Kind::Scale(v) => {
                    struct_ser.serialize_field("scale", v)?;
                }
                intervention::Kind::Ablate(v) => {
                    struct_ser.serialize_field("ablate", v)?;
                }
                intervention::Kind::Patch(v) => {
                    struct_ser.serialize_field("patch", v)?;
                }
                intervention::Kind::KnockOutAttention(v) => {
                    struct_ser.serialize_field("knockOutAttention", v)?;
                }
                intervention::Kind::PruneTokens(v) => {
                    struct_ser.serialize_field("pruneTokens", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Intervention {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "permute_tokens",
            "permuteTokens",
            "occlude_patches",
            "occludePatches",
            "drop_layers",
            "dropLayers",
            "swap_projector",
            "swapProjector",
            "blank_image",
            "blankImage",
            "shuffle_patches",
            "shufflePatches",
            "select_tokens",
            "selectTokens",
            "replace_tokens",
            "replaceTokens",
            "repeat_layers",
            "repeatLayers",
            "exit_early",
            "exitEarly",
            "add_noise",
            "addNoise",
            "steer",
            "project_out",
            "projectOut",
            "scale",
            "ablate",
            "patch",
            "knock_out_attention",
            "knockOutAttention",
            "prune_tokens",
            "pruneTokens",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PermuteTokens,
            OccludePatches,
            DropLayers,
            SwapProjector,
            BlankImage,
            ShufflePatches,
            SelectTokens,
            ReplaceTokens,
            RepeatLayers,
            ExitEarly,
            AddNoise,
            Steer,
            ProjectOut,
            Scale,
            Ablate,
            Patch,
            KnockOutAttention,
            PruneTokens,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "permuteTokens" | "permute_tokens" => Ok(GeneratedField::PermuteTokens),
                            "occludePatches" | "occlude_patches" => Ok(GeneratedField::OccludePatches),
                            "dropLayers" | "drop_layers" => Ok(GeneratedField::DropLayers),
                            "swapProjector" | "swap_projector" => Ok(GeneratedField::SwapProjector),
                            "blankImage" | "blank_image" => Ok(GeneratedField::BlankImage),
                            "shufflePatches" | "shuffle_patches" => Ok(GeneratedField::ShufflePatches),
                            "selectTokens" | "select_tokens" => Ok(GeneratedField::SelectTokens),
                            "replaceTokens" | "replace_tokens" => Ok(GeneratedField::ReplaceTokens),
                            "repeatLayers" | "repeat_layers" => Ok(GeneratedField::RepeatLayers),
                            "exitEarly" | "exit_early" => Ok(GeneratedField::ExitEarly),
                            "addNoise" | "add_noise" => Ok(GeneratedField::AddNoise),
                            "steer" => Ok(GeneratedField::Steer),
                            "projectOut" | "project_out" => Ok(GeneratedField::ProjectOut),
                            "scale" => Ok(GeneratedField::Scale),
                            "ablate" => Ok(GeneratedField::Ablate),
                            "patch" => Ok(GeneratedField::Patch),
                            "knockOutAttention" | "knock_out_attention" => Ok(GeneratedField::KnockOutAttention),
                            "pruneTokens" | "prune_tokens" => Ok(GeneratedField::PruneTokens),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Intervention;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Intervention")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Intervention, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut kind__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PermuteTokens => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("permuteTokens"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::PermuteTokens)
;
                        }
                        GeneratedField::OccludePatches => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("occludePatches"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::OccludePatches)
;
                        }
                        GeneratedField::DropLayers => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dropLayers"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::DropLayers)
;
                        }
                        GeneratedField::SwapProjector => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("swapProjector"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::SwapProjector)
;
                        }
                        GeneratedField::BlankImage => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("blankImage"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::BlankImage)
;
                        }
                        GeneratedField::ShufflePatches => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("shufflePatches"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::ShufflePatches)
;
                        }
                        GeneratedField::SelectTokens => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("selectTokens"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::SelectTokens)
;
                        }
                        GeneratedField::ReplaceTokens => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("replaceTokens"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::ReplaceTokens)
;
                        }
                        GeneratedField::RepeatLayers => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("repeatLayers"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::RepeatLayers)
;
                        }
                        GeneratedField::ExitEarly => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("exitEarly"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::ExitEarly)
;
                        }
                        GeneratedField::AddNoise => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("addNoise"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::AddNoise)
;
                        }
                        GeneratedField::Steer => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("steer"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::Steer)
;
                        }
                        GeneratedField::ProjectOut => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("projectOut"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::ProjectOut)
;
                        }
                        GeneratedField::Scale => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("scale"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::Scale)
;
                        }
                        GeneratedField::Ablate => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ablate"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::Ablate)
;
                        }
                        GeneratedField::Patch => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("patch"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::Patch)
;
                        }
                        GeneratedField::KnockOutAttention => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("knockOutAttention"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::KnockOutAttention)
;
                        }
                        GeneratedField::PruneTokens => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("pruneTokens"));
                            }
                            kind__ = map_.next_value::<::std::option::Option<_>>()?.map(intervention::Kind::PruneTokens)
;
                        }
                    }
                }
                Ok(Intervention {
                    kind: kind__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Intervention", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Judge {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if !self.prompt.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Judge", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if !self.prompt.is_empty() {
            struct_ser.serialize_field("prompt", &self.prompt)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Judge {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "prompt",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            Prompt,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "prompt" => Ok(GeneratedField::Prompt),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Judge;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Judge")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Judge, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut prompt__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Prompt => {
                            if prompt__.is_some() {
                                return Err(serde::de::Error::duplicate_field("prompt"));
                            }
                            prompt__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Judge {
                    model: model__.unwrap_or_default(),
                    prompt: prompt__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Judge", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for KeptActivation {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target != 0 {
            len += 1;
        }
        if !self.point.is_empty() {
            len += 1;
        }
        if !self.handle.is_empty() {
            len += 1;
        }
        if !self.shape.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.KeptActivation", len)?;
        if self.target != 0 {
            struct_ser.serialize_field("target", &self.target)?;
        }
        if !self.point.is_empty() {
            struct_ser.serialize_field("point", &self.point)?;
        }
        if !self.handle.is_empty() {
            struct_ser.serialize_field("handle", &self.handle)?;
        }
        if !self.shape.is_empty() {
            struct_ser.serialize_field("shape", &self.shape)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for KeptActivation {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "point",
            "handle",
            "shape",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Point,
            Handle,
            Shape,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "point" => Ok(GeneratedField::Point),
                            "handle" => Ok(GeneratedField::Handle),
                            "shape" => Ok(GeneratedField::Shape),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = KeptActivation;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.KeptActivation")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<KeptActivation, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut point__ = None;
                let mut handle__ = None;
                let mut shape__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Point => {
                            if point__.is_some() {
                                return Err(serde::de::Error::duplicate_field("point"));
                            }
                            point__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Handle => {
                            if handle__.is_some() {
                                return Err(serde::de::Error::duplicate_field("handle"));
                            }
                            handle__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Shape => {
                            if shape__.is_some() {
                                return Err(serde::de::Error::duplicate_field("shape"));
                            }
                            shape__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(KeptActivation {
                    target: target__.unwrap_or_default(),
                    point: point__.unwrap_or_default(),
                    handle: handle__.unwrap_or_default(),
                    shape: shape__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.KeptActivation", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for KnockOutAttention {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.stack != 0 {
            len += 1;
        }
        if !self.layers.is_empty() {
            len += 1;
        }
        if !self.heads.is_empty() {
            len += 1;
        }
        if self.from.is_some() {
            len += 1;
        }
        if self.to.is_some() {
            len += 1;
        }
        if self.steps.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.KnockOutAttention", len)?;
        if self.stack != 0 {
            let v = Stack::try_from(self.stack)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.stack)))?;
            struct_ser.serialize_field("stack", &v)?;
        }
        if !self.layers.is_empty() {
            struct_ser.serialize_field("layers", &self.layers)?;
        }
        if !self.heads.is_empty() {
            struct_ser.serialize_field("heads", &self.heads)?;
        }
        if let Some(v) = self.from.as_ref() {
            struct_ser.serialize_field("from", v)?;
        }
        if let Some(v) = self.to.as_ref() {
            struct_ser.serialize_field("to", v)?;
        }
        if let Some(v) = self.steps.as_ref() {
            struct_ser.serialize_field("steps", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for KnockOutAttention {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "stack",
            "layers",
            "heads",
            "from",
            "to",
            "steps",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Stack,
            Layers,
            Heads,
            From,
            To,
            Steps,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "stack" => Ok(GeneratedField::Stack),
                            "layers" => Ok(GeneratedField::Layers),
                            "heads" => Ok(GeneratedField::Heads),
                            "from" => Ok(GeneratedField::From),
                            "to" => Ok(GeneratedField::To),
                            "steps" => Ok(GeneratedField::Steps),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = KnockOutAttention;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.KnockOutAttention")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<KnockOutAttention, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut stack__ = None;
                let mut layers__ = None;
                let mut heads__ = None;
                let mut from__ = None;
                let mut to__ = None;
                let mut steps__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Stack => {
                            if stack__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stack"));
                            }
                            stack__ = Some(map_.next_value::<Stack>()? as i32);
                        }
                        GeneratedField::Layers => {
                            if layers__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layers"));
                            }
                            layers__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Heads => {
                            if heads__.is_some() {
                                return Err(serde::de::Error::duplicate_field("heads"));
                            }
                            heads__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::From => {
                            if from__.is_some() {
                                return Err(serde::de::Error::duplicate_field("from"));
                            }
                            from__ = map_.next_value()?;
                        }
                        GeneratedField::To => {
                            if to__.is_some() {
                                return Err(serde::de::Error::duplicate_field("to"));
                            }
                            to__ = map_.next_value()?;
                        }
                        GeneratedField::Steps => {
                            if steps__.is_some() {
                                return Err(serde::de::Error::duplicate_field("steps"));
                            }
                            steps__ = map_.next_value()?;
                        }
                    }
                }
                Ok(KnockOutAttention {
                    stack: stack__.unwrap_or_default(),
                    layers: layers__.unwrap_or_default(),
                    heads: heads__.unwrap_or_default(),
                    from: from__,
                    to: to__,
                    steps: steps__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.KnockOutAttention", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Limits {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.max_context != 0 {
            len += 1;
        }
        if self.max_images != 0 {
            len += 1;
        }
        if self.max_image_pixels != 0 {
            len += 1;
        }
        if self.max_message_bytes != 0 {
            len += 1;
        }
        if self.max_capture_bytes != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Limits", len)?;
        if self.max_context != 0 {
            struct_ser.serialize_field("maxContext", &self.max_context)?;
        }
        if self.max_images != 0 {
            struct_ser.serialize_field("maxImages", &self.max_images)?;
        }
        if self.max_image_pixels != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("maxImagePixels", ToString::to_string(&self.max_image_pixels).as_str())?;
        }
        if self.max_message_bytes != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("maxMessageBytes", ToString::to_string(&self.max_message_bytes).as_str())?;
        }
        if self.max_capture_bytes != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("maxCaptureBytes", ToString::to_string(&self.max_capture_bytes).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Limits {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "max_context",
            "maxContext",
            "max_images",
            "maxImages",
            "max_image_pixels",
            "maxImagePixels",
            "max_message_bytes",
            "maxMessageBytes",
            "max_capture_bytes",
            "maxCaptureBytes",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            MaxContext,
            MaxImages,
            MaxImagePixels,
            MaxMessageBytes,
            MaxCaptureBytes,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "maxContext" | "max_context" => Ok(GeneratedField::MaxContext),
                            "maxImages" | "max_images" => Ok(GeneratedField::MaxImages),
                            "maxImagePixels" | "max_image_pixels" => Ok(GeneratedField::MaxImagePixels),
                            "maxMessageBytes" | "max_message_bytes" => Ok(GeneratedField::MaxMessageBytes),
                            "maxCaptureBytes" | "max_capture_bytes" => Ok(GeneratedField::MaxCaptureBytes),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Limits;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Limits")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Limits, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut max_context__ = None;
                let mut max_images__ = None;
                let mut max_image_pixels__ = None;
                let mut max_message_bytes__ = None;
                let mut max_capture_bytes__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::MaxContext => {
                            if max_context__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxContext"));
                            }
                            max_context__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MaxImages => {
                            if max_images__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxImages"));
                            }
                            max_images__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MaxImagePixels => {
                            if max_image_pixels__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxImagePixels"));
                            }
                            max_image_pixels__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MaxMessageBytes => {
                            if max_message_bytes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxMessageBytes"));
                            }
                            max_message_bytes__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MaxCaptureBytes => {
                            if max_capture_bytes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxCaptureBytes"));
                            }
                            max_capture_bytes__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Limits {
                    max_context: max_context__.unwrap_or_default(),
                    max_images: max_images__.unwrap_or_default(),
                    max_image_pixels: max_image_pixels__.unwrap_or_default(),
                    max_message_bytes: max_message_bytes__.unwrap_or_default(),
                    max_capture_bytes: max_capture_bytes__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Limits", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListHookPointsRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ListHookPointsRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListHookPointsRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListHookPointsRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ListHookPointsRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListHookPointsRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ListHookPointsRequest {
                    model: model__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ListHookPointsRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListHookPointsResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.hook_points.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ListHookPointsResponse", len)?;
        if !self.hook_points.is_empty() {
            struct_ser.serialize_field("hookPoints", &self.hook_points)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListHookPointsResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "hook_points",
            "hookPoints",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            HookPoints,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "hookPoints" | "hook_points" => Ok(GeneratedField::HookPoints),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListHookPointsResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ListHookPointsResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListHookPointsResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut hook_points__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::HookPoints => {
                            if hook_points__.is_some() {
                                return Err(serde::de::Error::duplicate_field("hookPoints"));
                            }
                            hook_points__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ListHookPointsResponse {
                    hook_points: hook_points__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ListHookPointsResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListModelsRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("scotoma.v1.ListModelsRequest", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListModelsRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Err(serde::de::Error::unknown_field(value, FIELDS))
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListModelsRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ListModelsRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListModelsRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(ListModelsRequest {
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ListModelsRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListModelsResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.models.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ListModelsResponse", len)?;
        if !self.models.is_empty() {
            struct_ser.serialize_field("models", &self.models)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListModelsResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "models",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Models,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "models" => Ok(GeneratedField::Models),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListModelsResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ListModelsResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListModelsResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut models__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Models => {
                            if models__.is_some() {
                                return Err(serde::de::Error::duplicate_field("models"));
                            }
                            models__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ListModelsResponse {
                    models: models__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ListModelsResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LoadModelRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.place.is_empty() {
            len += 1;
        }
        if !self.dtype.is_empty() {
            len += 1;
        }
        if !self.device.is_empty() {
            len += 1;
        }
        if !self.chat_template.is_empty() {
            len += 1;
        }
        if !self.image_processor.is_empty() {
            len += 1;
        }
        if !self.adapter.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.LoadModelRequest", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.place.is_empty() {
            struct_ser.serialize_field("place", &self.place)?;
        }
        if !self.dtype.is_empty() {
            struct_ser.serialize_field("dtype", &self.dtype)?;
        }
        if !self.device.is_empty() {
            struct_ser.serialize_field("device", &self.device)?;
        }
        if !self.chat_template.is_empty() {
            struct_ser.serialize_field("chatTemplate", &self.chat_template)?;
        }
        if !self.image_processor.is_empty() {
            struct_ser.serialize_field("imageProcessor", &self.image_processor)?;
        }
        if !self.adapter.is_empty() {
            struct_ser.serialize_field("adapter", &self.adapter)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LoadModelRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "place",
            "dtype",
            "device",
            "chat_template",
            "chatTemplate",
            "image_processor",
            "imageProcessor",
            "adapter",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            Place,
            Dtype,
            Device,
            ChatTemplate,
            ImageProcessor,
            Adapter,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "place" => Ok(GeneratedField::Place),
                            "dtype" => Ok(GeneratedField::Dtype),
                            "device" => Ok(GeneratedField::Device),
                            "chatTemplate" | "chat_template" => Ok(GeneratedField::ChatTemplate),
                            "imageProcessor" | "image_processor" => Ok(GeneratedField::ImageProcessor),
                            "adapter" => Ok(GeneratedField::Adapter),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LoadModelRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.LoadModelRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LoadModelRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut place__ = None;
                let mut dtype__ = None;
                let mut device__ = None;
                let mut chat_template__ = None;
                let mut image_processor__ = None;
                let mut adapter__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Place => {
                            if place__.is_some() {
                                return Err(serde::de::Error::duplicate_field("place"));
                            }
                            place__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Dtype => {
                            if dtype__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dtype"));
                            }
                            dtype__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Device => {
                            if device__.is_some() {
                                return Err(serde::de::Error::duplicate_field("device"));
                            }
                            device__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ChatTemplate => {
                            if chat_template__.is_some() {
                                return Err(serde::de::Error::duplicate_field("chatTemplate"));
                            }
                            chat_template__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ImageProcessor => {
                            if image_processor__.is_some() {
                                return Err(serde::de::Error::duplicate_field("imageProcessor"));
                            }
                            image_processor__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Adapter => {
                            if adapter__.is_some() {
                                return Err(serde::de::Error::duplicate_field("adapter"));
                            }
                            adapter__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(LoadModelRequest {
                    name: name__.unwrap_or_default(),
                    place: place__.unwrap_or_default(),
                    dtype: dtype__.unwrap_or_default(),
                    device: device__.unwrap_or_default(),
                    chat_template: chat_template__.unwrap_or_default(),
                    image_processor: image_processor__.unwrap_or_default(),
                    adapter: adapter__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.LoadModelRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LoadModelResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.LoadModelResponse", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                load_model_response::Event::Progress(v) => {
                    struct_ser.serialize_field("progress", v)?;
                }
                load_model_response::Event::Model(v) => {
                    struct_ser.serialize_field("model", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LoadModelResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "progress",
            "model",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Progress,
            Model,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "progress" => Ok(GeneratedField::Progress),
                            "model" => Ok(GeneratedField::Model),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LoadModelResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.LoadModelResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LoadModelResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Progress => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("progress"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(load_model_response::Event::Progress)
;
                        }
                        GeneratedField::Model => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(load_model_response::Event::Model)
;
                        }
                    }
                }
                Ok(LoadModelResponse {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.LoadModelResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LoadProgress {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.file.is_empty() {
            len += 1;
        }
        if self.done != 0 {
            len += 1;
        }
        if self.total != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.LoadProgress", len)?;
        if !self.file.is_empty() {
            struct_ser.serialize_field("file", &self.file)?;
        }
        if self.done != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("done", ToString::to_string(&self.done).as_str())?;
        }
        if self.total != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("total", ToString::to_string(&self.total).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LoadProgress {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "file",
            "done",
            "total",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            File,
            Done,
            Total,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "file" => Ok(GeneratedField::File),
                            "done" => Ok(GeneratedField::Done),
                            "total" => Ok(GeneratedField::Total),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LoadProgress;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.LoadProgress")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LoadProgress, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut file__ = None;
                let mut done__ = None;
                let mut total__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::File => {
                            if file__.is_some() {
                                return Err(serde::de::Error::duplicate_field("file"));
                            }
                            file__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Done => {
                            if done__.is_some() {
                                return Err(serde::de::Error::duplicate_field("done"));
                            }
                            done__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Total => {
                            if total__.is_some() {
                                return Err(serde::de::Error::duplicate_field("total"));
                            }
                            total__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(LoadProgress {
                    file: file__.unwrap_or_default(),
                    done: done__.unwrap_or_default(),
                    total: total__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.LoadProgress", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LoadProjectorRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.file.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.LoadProjectorRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.file.is_empty() {
            struct_ser.serialize_field("file", &self.file)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LoadProjectorRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "name",
            "file",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            Name,
            File,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "name" => Ok(GeneratedField::Name),
                            "file" => Ok(GeneratedField::File),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LoadProjectorRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.LoadProjectorRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LoadProjectorRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut name__ = None;
                let mut file__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::File => {
                            if file__.is_some() {
                                return Err(serde::de::Error::duplicate_field("file"));
                            }
                            file__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(LoadProjectorRequest {
                    model: model__.unwrap_or_default(),
                    name: name__.unwrap_or_default(),
                    file: file__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.LoadProjectorRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LoadProjectorResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.model.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.LoadProjectorResponse", len)?;
        if let Some(v) = self.model.as_ref() {
            struct_ser.serialize_field("model", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LoadProjectorResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LoadProjectorResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.LoadProjectorResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LoadProjectorResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = map_.next_value()?;
                        }
                    }
                }
                Ok(LoadProjectorResponse {
                    model: model__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.LoadProjectorResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ModelInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.family.is_empty() {
            len += 1;
        }
        if !self.digest.is_empty() {
            len += 1;
        }
        if !self.dtype.is_empty() {
            len += 1;
        }
        if !self.device.is_empty() {
            len += 1;
        }
        if self.resident_bytes != 0 {
            len += 1;
        }
        if self.parameters != 0 {
            len += 1;
        }
        if self.vision_tower.is_some() {
            len += 1;
        }
        if self.language_model.is_some() {
            len += 1;
        }
        if self.vision_feature_layer != 0 {
            len += 1;
        }
        if !self.vision_feature_select_strategy.is_empty() {
            len += 1;
        }
        if self.image_size != 0 {
            len += 1;
        }
        if self.patch_grid != 0 {
            len += 1;
        }
        if self.vocabulary != 0 {
            len += 1;
        }
        if !self.projectors.is_empty() {
            len += 1;
        }
        if self.limits.is_some() {
            len += 1;
        }
        if !self.interventions.is_empty() {
            len += 1;
        }
        if !self.saliency_models.is_empty() {
            len += 1;
        }
        if self.chat_template.is_some() {
            len += 1;
        }
        if !self.image_processor.is_empty() {
            len += 1;
        }
        if !self.adapters.is_empty() {
            len += 1;
        }
        if !self.vision_feature_layers.is_empty() {
            len += 1;
        }
        if !self.generation_config.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ModelInfo", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.family.is_empty() {
            struct_ser.serialize_field("family", &self.family)?;
        }
        if !self.digest.is_empty() {
            struct_ser.serialize_field("digest", &self.digest)?;
        }
        if !self.dtype.is_empty() {
            struct_ser.serialize_field("dtype", &self.dtype)?;
        }
        if !self.device.is_empty() {
            struct_ser.serialize_field("device", &self.device)?;
        }
        if self.resident_bytes != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("residentBytes", ToString::to_string(&self.resident_bytes).as_str())?;
        }
        if self.parameters != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("parameters", ToString::to_string(&self.parameters).as_str())?;
        }
        if let Some(v) = self.vision_tower.as_ref() {
            struct_ser.serialize_field("visionTower", v)?;
        }
        if let Some(v) = self.language_model.as_ref() {
            struct_ser.serialize_field("languageModel", v)?;
        }
        if self.vision_feature_layer != 0 {
            struct_ser.serialize_field("visionFeatureLayer", &self.vision_feature_layer)?;
        }
        if !self.vision_feature_select_strategy.is_empty() {
            struct_ser.serialize_field("visionFeatureSelectStrategy", &self.vision_feature_select_strategy)?;
        }
        if self.image_size != 0 {
            struct_ser.serialize_field("imageSize", &self.image_size)?;
        }
        if self.patch_grid != 0 {
            struct_ser.serialize_field("patchGrid", &self.patch_grid)?;
        }
        if self.vocabulary != 0 {
            struct_ser.serialize_field("vocabulary", &self.vocabulary)?;
        }
        if !self.projectors.is_empty() {
            struct_ser.serialize_field("projectors", &self.projectors)?;
        }
        if let Some(v) = self.limits.as_ref() {
            struct_ser.serialize_field("limits", v)?;
        }
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        if !self.saliency_models.is_empty() {
            struct_ser.serialize_field("saliencyModels", &self.saliency_models)?;
        }
        if let Some(v) = self.chat_template.as_ref() {
            struct_ser.serialize_field("chatTemplate", v)?;
        }
        if !self.image_processor.is_empty() {
            struct_ser.serialize_field("imageProcessor", &self.image_processor)?;
        }
        if !self.adapters.is_empty() {
            struct_ser.serialize_field("adapters", &self.adapters)?;
        }
        if !self.vision_feature_layers.is_empty() {
            struct_ser.serialize_field("visionFeatureLayers", &self.vision_feature_layers)?;
        }
        if !self.generation_config.is_empty() {
            struct_ser.serialize_field("generationConfig", &self.generation_config)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ModelInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "family",
            "digest",
            "dtype",
            "device",
            "resident_bytes",
            "residentBytes",
            "parameters",
            "vision_tower",
            "visionTower",
            "language_model",
            "languageModel",
            "vision_feature_layer",
            "visionFeatureLayer",
            "vision_feature_select_strategy",
            "visionFeatureSelectStrategy",
            "image_size",
            "imageSize",
            "patch_grid",
            "patchGrid",
            "vocabulary",
            "projectors",
            "limits",
            "interventions",
            "saliency_models",
            "saliencyModels",
            "chat_template",
            "chatTemplate",
            "image_processor",
            "imageProcessor",
            "adapters",
            "vision_feature_layers",
            "visionFeatureLayers",
            "generation_config",
            "generationConfig",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            Family,
            Digest,
            Dtype,
            Device,
            ResidentBytes,
            Parameters,
            VisionTower,
            LanguageModel,
            VisionFeatureLayer,
            VisionFeatureSelectStrategy,
            ImageSize,
            PatchGrid,
            Vocabulary,
            Projectors,
            Limits,
            Interventions,
            SaliencyModels,
            ChatTemplate,
            ImageProcessor,
            Adapters,
            VisionFeatureLayers,
            GenerationConfig,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "family" => Ok(GeneratedField::Family),
                            "digest" => Ok(GeneratedField::Digest),
                            "dtype" => Ok(GeneratedField::Dtype),
                            "device" => Ok(GeneratedField::Device),
                            "residentBytes" | "resident_bytes" => Ok(GeneratedField::ResidentBytes),
                            "parameters" => Ok(GeneratedField::Parameters),
                            "visionTower" | "vision_tower" => Ok(GeneratedField::VisionTower),
                            "languageModel" | "language_model" => Ok(GeneratedField::LanguageModel),
                            "visionFeatureLayer" | "vision_feature_layer" => Ok(GeneratedField::VisionFeatureLayer),
                            "visionFeatureSelectStrategy" | "vision_feature_select_strategy" => Ok(GeneratedField::VisionFeatureSelectStrategy),
                            "imageSize" | "image_size" => Ok(GeneratedField::ImageSize),
                            "patchGrid" | "patch_grid" => Ok(GeneratedField::PatchGrid),
                            "vocabulary" => Ok(GeneratedField::Vocabulary),
                            "projectors" => Ok(GeneratedField::Projectors),
                            "limits" => Ok(GeneratedField::Limits),
                            "interventions" => Ok(GeneratedField::Interventions),
                            "saliencyModels" | "saliency_models" => Ok(GeneratedField::SaliencyModels),
                            "chatTemplate" | "chat_template" => Ok(GeneratedField::ChatTemplate),
                            "imageProcessor" | "image_processor" => Ok(GeneratedField::ImageProcessor),
                            "adapters" => Ok(GeneratedField::Adapters),
                            "visionFeatureLayers" | "vision_feature_layers" => Ok(GeneratedField::VisionFeatureLayers),
                            "generationConfig" | "generation_config" => Ok(GeneratedField::GenerationConfig),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ModelInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ModelInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ModelInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut family__ = None;
                let mut digest__ = None;
                let mut dtype__ = None;
                let mut device__ = None;
                let mut resident_bytes__ = None;
                let mut parameters__ = None;
                let mut vision_tower__ = None;
                let mut language_model__ = None;
                let mut vision_feature_layer__ = None;
                let mut vision_feature_select_strategy__ = None;
                let mut image_size__ = None;
                let mut patch_grid__ = None;
                let mut vocabulary__ = None;
                let mut projectors__ = None;
                let mut limits__ = None;
                let mut interventions__ = None;
                let mut saliency_models__ = None;
                let mut chat_template__ = None;
                let mut image_processor__ = None;
                let mut adapters__ = None;
                let mut vision_feature_layers__ = None;
                let mut generation_config__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Family => {
                            if family__.is_some() {
                                return Err(serde::de::Error::duplicate_field("family"));
                            }
                            family__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Digest => {
                            if digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("digest"));
                            }
                            digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Dtype => {
                            if dtype__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dtype"));
                            }
                            dtype__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Device => {
                            if device__.is_some() {
                                return Err(serde::de::Error::duplicate_field("device"));
                            }
                            device__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ResidentBytes => {
                            if resident_bytes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("residentBytes"));
                            }
                            resident_bytes__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Parameters => {
                            if parameters__.is_some() {
                                return Err(serde::de::Error::duplicate_field("parameters"));
                            }
                            parameters__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::VisionTower => {
                            if vision_tower__.is_some() {
                                return Err(serde::de::Error::duplicate_field("visionTower"));
                            }
                            vision_tower__ = map_.next_value()?;
                        }
                        GeneratedField::LanguageModel => {
                            if language_model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("languageModel"));
                            }
                            language_model__ = map_.next_value()?;
                        }
                        GeneratedField::VisionFeatureLayer => {
                            if vision_feature_layer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("visionFeatureLayer"));
                            }
                            vision_feature_layer__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::VisionFeatureSelectStrategy => {
                            if vision_feature_select_strategy__.is_some() {
                                return Err(serde::de::Error::duplicate_field("visionFeatureSelectStrategy"));
                            }
                            vision_feature_select_strategy__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ImageSize => {
                            if image_size__.is_some() {
                                return Err(serde::de::Error::duplicate_field("imageSize"));
                            }
                            image_size__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::PatchGrid => {
                            if patch_grid__.is_some() {
                                return Err(serde::de::Error::duplicate_field("patchGrid"));
                            }
                            patch_grid__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Vocabulary => {
                            if vocabulary__.is_some() {
                                return Err(serde::de::Error::duplicate_field("vocabulary"));
                            }
                            vocabulary__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Projectors => {
                            if projectors__.is_some() {
                                return Err(serde::de::Error::duplicate_field("projectors"));
                            }
                            projectors__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Limits => {
                            if limits__.is_some() {
                                return Err(serde::de::Error::duplicate_field("limits"));
                            }
                            limits__ = map_.next_value()?;
                        }
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SaliencyModels => {
                            if saliency_models__.is_some() {
                                return Err(serde::de::Error::duplicate_field("saliencyModels"));
                            }
                            saliency_models__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ChatTemplate => {
                            if chat_template__.is_some() {
                                return Err(serde::de::Error::duplicate_field("chatTemplate"));
                            }
                            chat_template__ = map_.next_value()?;
                        }
                        GeneratedField::ImageProcessor => {
                            if image_processor__.is_some() {
                                return Err(serde::de::Error::duplicate_field("imageProcessor"));
                            }
                            image_processor__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Adapters => {
                            if adapters__.is_some() {
                                return Err(serde::de::Error::duplicate_field("adapters"));
                            }
                            adapters__ = Some(map_.next_value()?);
                        }
                        GeneratedField::VisionFeatureLayers => {
                            if vision_feature_layers__.is_some() {
                                return Err(serde::de::Error::duplicate_field("visionFeatureLayers"));
                            }
                            vision_feature_layers__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::GenerationConfig => {
                            if generation_config__.is_some() {
                                return Err(serde::de::Error::duplicate_field("generationConfig"));
                            }
                            generation_config__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ModelInfo {
                    name: name__.unwrap_or_default(),
                    family: family__.unwrap_or_default(),
                    digest: digest__.unwrap_or_default(),
                    dtype: dtype__.unwrap_or_default(),
                    device: device__.unwrap_or_default(),
                    resident_bytes: resident_bytes__.unwrap_or_default(),
                    parameters: parameters__.unwrap_or_default(),
                    vision_tower: vision_tower__,
                    language_model: language_model__,
                    vision_feature_layer: vision_feature_layer__.unwrap_or_default(),
                    vision_feature_select_strategy: vision_feature_select_strategy__.unwrap_or_default(),
                    image_size: image_size__.unwrap_or_default(),
                    patch_grid: patch_grid__.unwrap_or_default(),
                    vocabulary: vocabulary__.unwrap_or_default(),
                    projectors: projectors__.unwrap_or_default(),
                    limits: limits__,
                    interventions: interventions__.unwrap_or_default(),
                    saliency_models: saliency_models__.unwrap_or_default(),
                    chat_template: chat_template__,
                    image_processor: image_processor__.unwrap_or_default(),
                    adapters: adapters__.unwrap_or_default(),
                    vision_feature_layers: vision_feature_layers__.unwrap_or_default(),
                    generation_config: generation_config__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ModelInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for MultiImage {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "MULTI_IMAGE_UNSPECIFIED",
            Self::Padded => "MULTI_IMAGE_PADDED",
            Self::Tiled => "MULTI_IMAGE_TILED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for MultiImage {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "MULTI_IMAGE_UNSPECIFIED",
            "MULTI_IMAGE_PADDED",
            "MULTI_IMAGE_TILED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = MultiImage;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "MULTI_IMAGE_UNSPECIFIED" => Ok(MultiImage::Unspecified),
                    "MULTI_IMAGE_PADDED" => Ok(MultiImage::Padded),
                    "MULTI_IMAGE_TILED" => Ok(MultiImage::Tiled),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for OccludePatches {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.grid != 0 {
            len += 1;
        }
        if self.fill != 0 {
            len += 1;
        }
        if self.fill_seed.is_some() {
            len += 1;
        }
        if self.blur_sigma != 0. {
            len += 1;
        }
        if self.choice.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.OccludePatches", len)?;
        if self.grid != 0 {
            struct_ser.serialize_field("grid", &self.grid)?;
        }
        if self.fill != 0 {
            let v = occlude_patches::Fill::try_from(self.fill)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.fill)))?;
            struct_ser.serialize_field("fill", &v)?;
        }
        if let Some(v) = self.fill_seed.as_ref() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("fillSeed", ToString::to_string(&v).as_str())?;
        }
        if self.blur_sigma != 0. {
            struct_ser.serialize_field("blurSigma", &self.blur_sigma)?;
        }
        if let Some(v) = self.choice.as_ref() {
            match v {
                occlude_patches::Choice::Random(v) => {
                    struct_ser.serialize_field("random", v)?;
                }
                occlude_patches::Choice::Salient(v) => {
                    struct_ser.serialize_field("salient", v)?;
                }
                occlude_patches::Choice::NonSalient(v) => {
                    struct_ser.serialize_field("nonSalient", v)?;
                }
                occlude_patches::Choice::Indices(v) => {
                    struct_ser.serialize_field("indices", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for OccludePatches {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "grid",
            "fill",
            "fill_seed",
            "fillSeed",
            "blur_sigma",
            "blurSigma",
            "random",
            "salient",
            "non_salient",
            "nonSalient",
            "indices",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Grid,
            Fill,
            FillSeed,
            BlurSigma,
            Random,
            Salient,
            NonSalient,
            Indices,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "grid" => Ok(GeneratedField::Grid),
                            "fill" => Ok(GeneratedField::Fill),
                            "fillSeed" | "fill_seed" => Ok(GeneratedField::FillSeed),
                            "blurSigma" | "blur_sigma" => Ok(GeneratedField::BlurSigma),
                            "random" => Ok(GeneratedField::Random),
                            "salient" => Ok(GeneratedField::Salient),
                            "nonSalient" | "non_salient" => Ok(GeneratedField::NonSalient),
                            "indices" => Ok(GeneratedField::Indices),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = OccludePatches;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.OccludePatches")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<OccludePatches, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut grid__ = None;
                let mut fill__ = None;
                let mut fill_seed__ = None;
                let mut blur_sigma__ = None;
                let mut choice__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Grid => {
                            if grid__.is_some() {
                                return Err(serde::de::Error::duplicate_field("grid"));
                            }
                            grid__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Fill => {
                            if fill__.is_some() {
                                return Err(serde::de::Error::duplicate_field("fill"));
                            }
                            fill__ = Some(map_.next_value::<occlude_patches::Fill>()? as i32);
                        }
                        GeneratedField::FillSeed => {
                            if fill_seed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("fillSeed"));
                            }
                            fill_seed__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::BlurSigma => {
                            if blur_sigma__.is_some() {
                                return Err(serde::de::Error::duplicate_field("blurSigma"));
                            }
                            blur_sigma__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Random => {
                            if choice__.is_some() {
                                return Err(serde::de::Error::duplicate_field("random"));
                            }
                            choice__ = map_.next_value::<::std::option::Option<_>>()?.map(occlude_patches::Choice::Random)
;
                        }
                        GeneratedField::Salient => {
                            if choice__.is_some() {
                                return Err(serde::de::Error::duplicate_field("salient"));
                            }
                            choice__ = map_.next_value::<::std::option::Option<_>>()?.map(occlude_patches::Choice::Salient)
;
                        }
                        GeneratedField::NonSalient => {
                            if choice__.is_some() {
                                return Err(serde::de::Error::duplicate_field("nonSalient"));
                            }
                            choice__ = map_.next_value::<::std::option::Option<_>>()?.map(occlude_patches::Choice::NonSalient)
;
                        }
                        GeneratedField::Indices => {
                            if choice__.is_some() {
                                return Err(serde::de::Error::duplicate_field("indices"));
                            }
                            choice__ = map_.next_value::<::std::option::Option<_>>()?.map(occlude_patches::Choice::Indices)
;
                        }
                    }
                }
                Ok(OccludePatches {
                    grid: grid__.unwrap_or_default(),
                    fill: fill__.unwrap_or_default(),
                    fill_seed: fill_seed__,
                    blur_sigma: blur_sigma__.unwrap_or_default(),
                    choice: choice__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.OccludePatches", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for occlude_patches::Fill {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "FILL_UNSPECIFIED",
            Self::Black => "FILL_BLACK",
            Self::Mean => "FILL_MEAN",
            Self::Noise => "FILL_NOISE",
            Self::Blur => "FILL_BLUR",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for occlude_patches::Fill {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "FILL_UNSPECIFIED",
            "FILL_BLACK",
            "FILL_MEAN",
            "FILL_NOISE",
            "FILL_BLUR",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = occlude_patches::Fill;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "FILL_UNSPECIFIED" => Ok(occlude_patches::Fill::Unspecified),
                    "FILL_BLACK" => Ok(occlude_patches::Fill::Black),
                    "FILL_MEAN" => Ok(occlude_patches::Fill::Mean),
                    "FILL_NOISE" => Ok(occlude_patches::Fill::Noise),
                    "FILL_BLUR" => Ok(occlude_patches::Fill::Blur),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for OptionScore {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.option.is_empty() {
            len += 1;
        }
        if self.logprob != 0. {
            len += 1;
        }
        if self.mean_logprob != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.OptionScore", len)?;
        if !self.option.is_empty() {
            struct_ser.serialize_field("option", &self.option)?;
        }
        if self.logprob != 0. {
            struct_ser.serialize_field("logprob", &self.logprob)?;
        }
        if self.mean_logprob != 0. {
            struct_ser.serialize_field("meanLogprob", &self.mean_logprob)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for OptionScore {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "option",
            "logprob",
            "mean_logprob",
            "meanLogprob",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Option,
            Logprob,
            MeanLogprob,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "option" => Ok(GeneratedField::Option),
                            "logprob" => Ok(GeneratedField::Logprob),
                            "meanLogprob" | "mean_logprob" => Ok(GeneratedField::MeanLogprob),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = OptionScore;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.OptionScore")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<OptionScore, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut option__ = None;
                let mut logprob__ = None;
                let mut mean_logprob__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Option => {
                            if option__.is_some() {
                                return Err(serde::de::Error::duplicate_field("option"));
                            }
                            option__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Logprob => {
                            if logprob__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logprob"));
                            }
                            logprob__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MeanLogprob => {
                            if mean_logprob__.is_some() {
                                return Err(serde::de::Error::duplicate_field("meanLogprob"));
                            }
                            mean_logprob__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(OptionScore {
                    option: option__.unwrap_or_default(),
                    logprob: logprob__.unwrap_or_default(),
                    mean_logprob: mean_logprob__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.OptionScore", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ParityCase {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if self.done != 0 {
            len += 1;
        }
        if self.total != 0 {
            len += 1;
        }
        if self.max_relative_error != 0. {
            len += 1;
        }
        if !self.worst_hook_point.is_empty() {
            len += 1;
        }
        if self.same_tokens {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ParityCase", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if self.done != 0 {
            struct_ser.serialize_field("done", &self.done)?;
        }
        if self.total != 0 {
            struct_ser.serialize_field("total", &self.total)?;
        }
        if self.max_relative_error != 0. {
            struct_ser.serialize_field("maxRelativeError", &self.max_relative_error)?;
        }
        if !self.worst_hook_point.is_empty() {
            struct_ser.serialize_field("worstHookPoint", &self.worst_hook_point)?;
        }
        if self.same_tokens {
            struct_ser.serialize_field("sameTokens", &self.same_tokens)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ParityCase {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "done",
            "total",
            "max_relative_error",
            "maxRelativeError",
            "worst_hook_point",
            "worstHookPoint",
            "same_tokens",
            "sameTokens",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            Done,
            Total,
            MaxRelativeError,
            WorstHookPoint,
            SameTokens,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "done" => Ok(GeneratedField::Done),
                            "total" => Ok(GeneratedField::Total),
                            "maxRelativeError" | "max_relative_error" => Ok(GeneratedField::MaxRelativeError),
                            "worstHookPoint" | "worst_hook_point" => Ok(GeneratedField::WorstHookPoint),
                            "sameTokens" | "same_tokens" => Ok(GeneratedField::SameTokens),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ParityCase;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ParityCase")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ParityCase, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut done__ = None;
                let mut total__ = None;
                let mut max_relative_error__ = None;
                let mut worst_hook_point__ = None;
                let mut same_tokens__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Done => {
                            if done__.is_some() {
                                return Err(serde::de::Error::duplicate_field("done"));
                            }
                            done__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Total => {
                            if total__.is_some() {
                                return Err(serde::de::Error::duplicate_field("total"));
                            }
                            total__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MaxRelativeError => {
                            if max_relative_error__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxRelativeError"));
                            }
                            max_relative_error__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::WorstHookPoint => {
                            if worst_hook_point__.is_some() {
                                return Err(serde::de::Error::duplicate_field("worstHookPoint"));
                            }
                            worst_hook_point__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SameTokens => {
                            if same_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sameTokens"));
                            }
                            same_tokens__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ParityCase {
                    name: name__.unwrap_or_default(),
                    done: done__.unwrap_or_default(),
                    total: total__.unwrap_or_default(),
                    max_relative_error: max_relative_error__.unwrap_or_default(),
                    worst_hook_point: worst_hook_point__.unwrap_or_default(),
                    same_tokens: same_tokens__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ParityCase", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ParityReport {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if !self.model_digest.is_empty() {
            len += 1;
        }
        if !self.dtype.is_empty() {
            len += 1;
        }
        if !self.device.is_empty() {
            len += 1;
        }
        if !self.reference.is_empty() {
            len += 1;
        }
        if !self.points.is_empty() {
            len += 1;
        }
        if self.max_relative_error != 0. {
            len += 1;
        }
        if self.tolerance != 0. {
            len += 1;
        }
        if !self.other_tokens.is_empty() {
            len += 1;
        }
        if self.passed {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ParityReport", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if !self.model_digest.is_empty() {
            struct_ser.serialize_field("modelDigest", &self.model_digest)?;
        }
        if !self.dtype.is_empty() {
            struct_ser.serialize_field("dtype", &self.dtype)?;
        }
        if !self.device.is_empty() {
            struct_ser.serialize_field("device", &self.device)?;
        }
        if !self.reference.is_empty() {
            struct_ser.serialize_field("reference", &self.reference)?;
        }
        if !self.points.is_empty() {
            struct_ser.serialize_field("points", &self.points)?;
        }
        if self.max_relative_error != 0. {
            struct_ser.serialize_field("maxRelativeError", &self.max_relative_error)?;
        }
        if self.tolerance != 0. {
            struct_ser.serialize_field("tolerance", &self.tolerance)?;
        }
        if !self.other_tokens.is_empty() {
            struct_ser.serialize_field("otherTokens", &self.other_tokens)?;
        }
        if self.passed {
            struct_ser.serialize_field("passed", &self.passed)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ParityReport {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "model_digest",
            "modelDigest",
            "dtype",
            "device",
            "reference",
            "points",
            "max_relative_error",
            "maxRelativeError",
            "tolerance",
            "other_tokens",
            "otherTokens",
            "passed",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            ModelDigest,
            Dtype,
            Device,
            Reference,
            Points,
            MaxRelativeError,
            Tolerance,
            OtherTokens,
            Passed,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "modelDigest" | "model_digest" => Ok(GeneratedField::ModelDigest),
                            "dtype" => Ok(GeneratedField::Dtype),
                            "device" => Ok(GeneratedField::Device),
                            "reference" => Ok(GeneratedField::Reference),
                            "points" => Ok(GeneratedField::Points),
                            "maxRelativeError" | "max_relative_error" => Ok(GeneratedField::MaxRelativeError),
                            "tolerance" => Ok(GeneratedField::Tolerance),
                            "otherTokens" | "other_tokens" => Ok(GeneratedField::OtherTokens),
                            "passed" => Ok(GeneratedField::Passed),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ParityReport;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ParityReport")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ParityReport, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut model_digest__ = None;
                let mut dtype__ = None;
                let mut device__ = None;
                let mut reference__ = None;
                let mut points__ = None;
                let mut max_relative_error__ = None;
                let mut tolerance__ = None;
                let mut other_tokens__ = None;
                let mut passed__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ModelDigest => {
                            if model_digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("modelDigest"));
                            }
                            model_digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Dtype => {
                            if dtype__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dtype"));
                            }
                            dtype__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Device => {
                            if device__.is_some() {
                                return Err(serde::de::Error::duplicate_field("device"));
                            }
                            device__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Reference => {
                            if reference__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reference"));
                            }
                            reference__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Points => {
                            if points__.is_some() {
                                return Err(serde::de::Error::duplicate_field("points"));
                            }
                            points__ = Some(map_.next_value()?);
                        }
                        GeneratedField::MaxRelativeError => {
                            if max_relative_error__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxRelativeError"));
                            }
                            max_relative_error__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Tolerance => {
                            if tolerance__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tolerance"));
                            }
                            tolerance__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::OtherTokens => {
                            if other_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("otherTokens"));
                            }
                            other_tokens__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Passed => {
                            if passed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("passed"));
                            }
                            passed__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ParityReport {
                    model: model__.unwrap_or_default(),
                    model_digest: model_digest__.unwrap_or_default(),
                    dtype: dtype__.unwrap_or_default(),
                    device: device__.unwrap_or_default(),
                    reference: reference__.unwrap_or_default(),
                    points: points__.unwrap_or_default(),
                    max_relative_error: max_relative_error__.unwrap_or_default(),
                    tolerance: tolerance__.unwrap_or_default(),
                    other_tokens: other_tokens__.unwrap_or_default(),
                    passed: passed__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ParityReport", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Patch {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target.is_some() {
            len += 1;
        }
        if self.source.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Patch", len)?;
        if let Some(v) = self.target.as_ref() {
            struct_ser.serialize_field("target", v)?;
        }
        if let Some(v) = self.source.as_ref() {
            match v {
                patch::Source::Values(v) => {
                    struct_ser.serialize_field("values", v)?;
                }
                patch::Source::Handle(v) => {
                    struct_ser.serialize_field("handle", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Patch {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "values",
            "handle",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Values,
            Handle,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "values" => Ok(GeneratedField::Values),
                            "handle" => Ok(GeneratedField::Handle),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Patch;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Patch")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Patch, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut source__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = map_.next_value()?;
                        }
                        GeneratedField::Values => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("values"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(patch::Source::Values)
;
                        }
                        GeneratedField::Handle => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("handle"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(patch::Source::Handle);
                        }
                    }
                }
                Ok(Patch {
                    target: target__,
                    source: source__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Patch", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for PatchIndices {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.indices.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.PatchIndices", len)?;
        if !self.indices.is_empty() {
            struct_ser.serialize_field("indices", &self.indices)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for PatchIndices {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "indices",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Indices,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "indices" => Ok(GeneratedField::Indices),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = PatchIndices;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.PatchIndices")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<PatchIndices, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut indices__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Indices => {
                            if indices__.is_some() {
                                return Err(serde::de::Error::duplicate_field("indices"));
                            }
                            indices__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(PatchIndices {
                    indices: indices__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.PatchIndices", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for PermuteTokens {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.scope != 0 {
            len += 1;
        }
        if self.blocks != 0 {
            len += 1;
        }
        if self.source.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.PermuteTokens", len)?;
        if self.scope != 0 {
            let v = permute_tokens::Scope::try_from(self.scope)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.scope)))?;
            struct_ser.serialize_field("scope", &v)?;
        }
        if self.blocks != 0 {
            struct_ser.serialize_field("blocks", &self.blocks)?;
        }
        if let Some(v) = self.source.as_ref() {
            match v {
                permute_tokens::Source::Seed(v) => {
                    #[allow(clippy::needless_borrow)]
                    #[allow(clippy::needless_borrows_for_generic_args)]
                    struct_ser.serialize_field("seed", ToString::to_string(&v).as_str())?;
                }
                permute_tokens::Source::Order(v) => {
                    struct_ser.serialize_field("order", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for PermuteTokens {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "scope",
            "blocks",
            "seed",
            "order",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Scope,
            Blocks,
            Seed,
            Order,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "scope" => Ok(GeneratedField::Scope),
                            "blocks" => Ok(GeneratedField::Blocks),
                            "seed" => Ok(GeneratedField::Seed),
                            "order" => Ok(GeneratedField::Order),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = PermuteTokens;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.PermuteTokens")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<PermuteTokens, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut scope__ = None;
                let mut blocks__ = None;
                let mut source__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Scope => {
                            if scope__.is_some() {
                                return Err(serde::de::Error::duplicate_field("scope"));
                            }
                            scope__ = Some(map_.next_value::<permute_tokens::Scope>()? as i32);
                        }
                        GeneratedField::Blocks => {
                            if blocks__.is_some() {
                                return Err(serde::de::Error::duplicate_field("blocks"));
                            }
                            blocks__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Seed => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seed"));
                            }
                            source__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| permute_tokens::Source::Seed(x.0));
                        }
                        GeneratedField::Order => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("order"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(permute_tokens::Source::Order)
;
                        }
                    }
                }
                Ok(PermuteTokens {
                    scope: scope__.unwrap_or_default(),
                    blocks: blocks__.unwrap_or_default(),
                    source: source__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.PermuteTokens", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for permute_tokens::Scope {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "SCOPE_UNSPECIFIED",
            Self::All => "SCOPE_ALL",
            Self::WithinTiles => "SCOPE_WITHIN_TILES",
            Self::BaseView => "SCOPE_BASE_VIEW",
            Self::WithinBlocks => "SCOPE_WITHIN_BLOCKS",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for permute_tokens::Scope {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "SCOPE_UNSPECIFIED",
            "SCOPE_ALL",
            "SCOPE_WITHIN_TILES",
            "SCOPE_BASE_VIEW",
            "SCOPE_WITHIN_BLOCKS",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = permute_tokens::Scope;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "SCOPE_UNSPECIFIED" => Ok(permute_tokens::Scope::Unspecified),
                    "SCOPE_ALL" => Ok(permute_tokens::Scope::All),
                    "SCOPE_WITHIN_TILES" => Ok(permute_tokens::Scope::WithinTiles),
                    "SCOPE_BASE_VIEW" => Ok(permute_tokens::Scope::BaseView),
                    "SCOPE_WITHIN_BLOCKS" => Ok(permute_tokens::Scope::WithinBlocks),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Pictures {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.images.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Pictures", len)?;
        if !self.images.is_empty() {
            struct_ser.serialize_field("images", &self.images)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Pictures {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "images",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Images,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "images" => Ok(GeneratedField::Images),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Pictures;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Pictures")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Pictures, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut images__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Images => {
                            if images__.is_some() {
                                return Err(serde::de::Error::duplicate_field("images"));
                            }
                            images__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Pictures {
                    images: images__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Pictures", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for PointParity {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if self.max_relative_error != 0. {
            len += 1;
        }
        if self.values != 0 {
            len += 1;
        }
        if !self.worst_case.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.PointParity", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if self.max_relative_error != 0. {
            struct_ser.serialize_field("maxRelativeError", &self.max_relative_error)?;
        }
        if self.values != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("values", ToString::to_string(&self.values).as_str())?;
        }
        if !self.worst_case.is_empty() {
            struct_ser.serialize_field("worstCase", &self.worst_case)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for PointParity {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "max_relative_error",
            "maxRelativeError",
            "values",
            "worst_case",
            "worstCase",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            MaxRelativeError,
            Values,
            WorstCase,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "maxRelativeError" | "max_relative_error" => Ok(GeneratedField::MaxRelativeError),
                            "values" => Ok(GeneratedField::Values),
                            "worstCase" | "worst_case" => Ok(GeneratedField::WorstCase),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = PointParity;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.PointParity")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<PointParity, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut max_relative_error__ = None;
                let mut values__ = None;
                let mut worst_case__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::MaxRelativeError => {
                            if max_relative_error__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxRelativeError"));
                            }
                            max_relative_error__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Values => {
                            if values__.is_some() {
                                return Err(serde::de::Error::duplicate_field("values"));
                            }
                            values__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::WorstCase => {
                            if worst_case__.is_some() {
                                return Err(serde::de::Error::duplicate_field("worstCase"));
                            }
                            worst_case__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(PointParity {
                    name: name__.unwrap_or_default(),
                    max_relative_error: max_relative_error__.unwrap_or_default(),
                    values: values__.unwrap_or_default(),
                    worst_case: worst_case__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.PointParity", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for PreviewRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if self.image.is_some() {
            len += 1;
        }
        if !self.interventions.is_empty() {
            len += 1;
        }
        if !self.sample_key.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.PreviewRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if let Some(v) = self.image.as_ref() {
            struct_ser.serialize_field("image", v)?;
        }
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        if !self.sample_key.is_empty() {
            struct_ser.serialize_field("sampleKey", &self.sample_key)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for PreviewRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "image",
            "interventions",
            "sample_key",
            "sampleKey",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            Image,
            Interventions,
            SampleKey,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "image" => Ok(GeneratedField::Image),
                            "interventions" => Ok(GeneratedField::Interventions),
                            "sampleKey" | "sample_key" => Ok(GeneratedField::SampleKey),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = PreviewRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.PreviewRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<PreviewRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut image__ = None;
                let mut interventions__ = None;
                let mut sample_key__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Image => {
                            if image__.is_some() {
                                return Err(serde::de::Error::duplicate_field("image"));
                            }
                            image__ = map_.next_value()?;
                        }
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SampleKey => {
                            if sample_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampleKey"));
                            }
                            sample_key__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(PreviewRequest {
                    model: model__.unwrap_or_default(),
                    image: image__,
                    interventions: interventions__.unwrap_or_default(),
                    sample_key: sample_key__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.PreviewRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for PreviewResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.png.is_empty() {
            len += 1;
        }
        if self.width != 0 {
            len += 1;
        }
        if self.height != 0 {
            len += 1;
        }
        if self.grid_rows != 0 {
            len += 1;
        }
        if self.grid_columns != 0 {
            len += 1;
        }
        if !self.plan.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.PreviewResponse", len)?;
        if !self.png.is_empty() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("png", pbjson::private::base64::encode(&self.png).as_str())?;
        }
        if self.width != 0 {
            struct_ser.serialize_field("width", &self.width)?;
        }
        if self.height != 0 {
            struct_ser.serialize_field("height", &self.height)?;
        }
        if self.grid_rows != 0 {
            struct_ser.serialize_field("gridRows", &self.grid_rows)?;
        }
        if self.grid_columns != 0 {
            struct_ser.serialize_field("gridColumns", &self.grid_columns)?;
        }
        if !self.plan.is_empty() {
            struct_ser.serialize_field("plan", &self.plan)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for PreviewResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "png",
            "width",
            "height",
            "grid_rows",
            "gridRows",
            "grid_columns",
            "gridColumns",
            "plan",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Png,
            Width,
            Height,
            GridRows,
            GridColumns,
            Plan,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "png" => Ok(GeneratedField::Png),
                            "width" => Ok(GeneratedField::Width),
                            "height" => Ok(GeneratedField::Height),
                            "gridRows" | "grid_rows" => Ok(GeneratedField::GridRows),
                            "gridColumns" | "grid_columns" => Ok(GeneratedField::GridColumns),
                            "plan" => Ok(GeneratedField::Plan),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = PreviewResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.PreviewResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<PreviewResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut png__ = None;
                let mut width__ = None;
                let mut height__ = None;
                let mut grid_rows__ = None;
                let mut grid_columns__ = None;
                let mut plan__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Png => {
                            if png__.is_some() {
                                return Err(serde::de::Error::duplicate_field("png"));
                            }
                            png__ = 
                                Some(map_.next_value::<::pbjson::private::BytesDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Width => {
                            if width__.is_some() {
                                return Err(serde::de::Error::duplicate_field("width"));
                            }
                            width__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Height => {
                            if height__.is_some() {
                                return Err(serde::de::Error::duplicate_field("height"));
                            }
                            height__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::GridRows => {
                            if grid_rows__.is_some() {
                                return Err(serde::de::Error::duplicate_field("gridRows"));
                            }
                            grid_rows__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::GridColumns => {
                            if grid_columns__.is_some() {
                                return Err(serde::de::Error::duplicate_field("gridColumns"));
                            }
                            grid_columns__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Plan => {
                            if plan__.is_some() {
                                return Err(serde::de::Error::duplicate_field("plan"));
                            }
                            plan__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(PreviewResponse {
                    png: png__.unwrap_or_default(),
                    width: width__.unwrap_or_default(),
                    height: height__.unwrap_or_default(),
                    grid_rows: grid_rows__.unwrap_or_default(),
                    grid_columns: grid_columns__.unwrap_or_default(),
                    plan: plan__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.PreviewResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ProjectOut {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target.is_some() {
            len += 1;
        }
        if !self.directions.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ProjectOut", len)?;
        if let Some(v) = self.target.as_ref() {
            struct_ser.serialize_field("target", v)?;
        }
        if !self.directions.is_empty() {
            struct_ser.serialize_field("directions", &self.directions)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ProjectOut {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "directions",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Directions,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "directions" => Ok(GeneratedField::Directions),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ProjectOut;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ProjectOut")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ProjectOut, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut directions__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = map_.next_value()?;
                        }
                        GeneratedField::Directions => {
                            if directions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("directions"));
                            }
                            directions__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ProjectOut {
                    target: target__,
                    directions: directions__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ProjectOut", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Prompt {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.text.is_empty() {
            len += 1;
        }
        if !self.images.is_empty() {
            len += 1;
        }
        if self.raw {
            len += 1;
        }
        if !self.messages.is_empty() {
            len += 1;
        }
        if self.multi_image != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Prompt", len)?;
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        if !self.images.is_empty() {
            struct_ser.serialize_field("images", &self.images)?;
        }
        if self.raw {
            struct_ser.serialize_field("raw", &self.raw)?;
        }
        if !self.messages.is_empty() {
            struct_ser.serialize_field("messages", &self.messages)?;
        }
        if self.multi_image != 0 {
            let v = MultiImage::try_from(self.multi_image)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.multi_image)))?;
            struct_ser.serialize_field("multiImage", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Prompt {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "text",
            "images",
            "raw",
            "messages",
            "multi_image",
            "multiImage",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Text,
            Images,
            Raw,
            Messages,
            MultiImage,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "text" => Ok(GeneratedField::Text),
                            "images" => Ok(GeneratedField::Images),
                            "raw" => Ok(GeneratedField::Raw),
                            "messages" => Ok(GeneratedField::Messages),
                            "multiImage" | "multi_image" => Ok(GeneratedField::MultiImage),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Prompt;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Prompt")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Prompt, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut text__ = None;
                let mut images__ = None;
                let mut raw__ = None;
                let mut messages__ = None;
                let mut multi_image__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Images => {
                            if images__.is_some() {
                                return Err(serde::de::Error::duplicate_field("images"));
                            }
                            images__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Raw => {
                            if raw__.is_some() {
                                return Err(serde::de::Error::duplicate_field("raw"));
                            }
                            raw__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Messages => {
                            if messages__.is_some() {
                                return Err(serde::de::Error::duplicate_field("messages"));
                            }
                            messages__ = Some(map_.next_value()?);
                        }
                        GeneratedField::MultiImage => {
                            if multi_image__.is_some() {
                                return Err(serde::de::Error::duplicate_field("multiImage"));
                            }
                            multi_image__ = Some(map_.next_value::<MultiImage>()? as i32);
                        }
                    }
                }
                Ok(Prompt {
                    text: text__.unwrap_or_default(),
                    images: images__.unwrap_or_default(),
                    raw: raw__.unwrap_or_default(),
                    messages: messages__.unwrap_or_default(),
                    multi_image: multi_image__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Prompt", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Provenance {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.server_version.is_empty() {
            len += 1;
        }
        if !self.model.is_empty() {
            len += 1;
        }
        if !self.model_digest.is_empty() {
            len += 1;
        }
        if !self.dtype.is_empty() {
            len += 1;
        }
        if !self.device.is_empty() {
            len += 1;
        }
        if !self.image_digests.is_empty() {
            len += 1;
        }
        if !self.preprocessing.is_empty() {
            len += 1;
        }
        if !self.prompt_text.is_empty() {
            len += 1;
        }
        if !self.layout.is_empty() {
            len += 1;
        }
        if !self.plan.is_empty() {
            len += 1;
        }
        if self.sampling.is_some() {
            len += 1;
        }
        if !self.sample_key.is_empty() {
            len += 1;
        }
        if !self.output_digest.is_empty() {
            len += 1;
        }
        if !self.digest.is_empty() {
            len += 1;
        }
        if !self.request.is_empty() {
            len += 1;
        }
        if !self.stages.is_empty() {
            len += 1;
        }
        if !self.template_time.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Provenance", len)?;
        if !self.server_version.is_empty() {
            struct_ser.serialize_field("serverVersion", &self.server_version)?;
        }
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if !self.model_digest.is_empty() {
            struct_ser.serialize_field("modelDigest", &self.model_digest)?;
        }
        if !self.dtype.is_empty() {
            struct_ser.serialize_field("dtype", &self.dtype)?;
        }
        if !self.device.is_empty() {
            struct_ser.serialize_field("device", &self.device)?;
        }
        if !self.image_digests.is_empty() {
            struct_ser.serialize_field("imageDigests", &self.image_digests)?;
        }
        if !self.preprocessing.is_empty() {
            struct_ser.serialize_field("preprocessing", &self.preprocessing)?;
        }
        if !self.prompt_text.is_empty() {
            struct_ser.serialize_field("promptText", &self.prompt_text)?;
        }
        if !self.layout.is_empty() {
            struct_ser.serialize_field("layout", &self.layout)?;
        }
        if !self.plan.is_empty() {
            struct_ser.serialize_field("plan", &self.plan)?;
        }
        if let Some(v) = self.sampling.as_ref() {
            struct_ser.serialize_field("sampling", v)?;
        }
        if !self.sample_key.is_empty() {
            struct_ser.serialize_field("sampleKey", &self.sample_key)?;
        }
        if !self.output_digest.is_empty() {
            struct_ser.serialize_field("outputDigest", &self.output_digest)?;
        }
        if !self.digest.is_empty() {
            struct_ser.serialize_field("digest", &self.digest)?;
        }
        if !self.request.is_empty() {
            struct_ser.serialize_field("request", &self.request)?;
        }
        if !self.stages.is_empty() {
            struct_ser.serialize_field("stages", &self.stages)?;
        }
        if !self.template_time.is_empty() {
            struct_ser.serialize_field("templateTime", &self.template_time)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Provenance {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "server_version",
            "serverVersion",
            "model",
            "model_digest",
            "modelDigest",
            "dtype",
            "device",
            "image_digests",
            "imageDigests",
            "preprocessing",
            "prompt_text",
            "promptText",
            "layout",
            "plan",
            "sampling",
            "sample_key",
            "sampleKey",
            "output_digest",
            "outputDigest",
            "digest",
            "request",
            "stages",
            "template_time",
            "templateTime",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ServerVersion,
            Model,
            ModelDigest,
            Dtype,
            Device,
            ImageDigests,
            Preprocessing,
            PromptText,
            Layout,
            Plan,
            Sampling,
            SampleKey,
            OutputDigest,
            Digest,
            Request,
            Stages,
            TemplateTime,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "serverVersion" | "server_version" => Ok(GeneratedField::ServerVersion),
                            "model" => Ok(GeneratedField::Model),
                            "modelDigest" | "model_digest" => Ok(GeneratedField::ModelDigest),
                            "dtype" => Ok(GeneratedField::Dtype),
                            "device" => Ok(GeneratedField::Device),
                            "imageDigests" | "image_digests" => Ok(GeneratedField::ImageDigests),
                            "preprocessing" => Ok(GeneratedField::Preprocessing),
                            "promptText" | "prompt_text" => Ok(GeneratedField::PromptText),
                            "layout" => Ok(GeneratedField::Layout),
                            "plan" => Ok(GeneratedField::Plan),
                            "sampling" => Ok(GeneratedField::Sampling),
                            "sampleKey" | "sample_key" => Ok(GeneratedField::SampleKey),
                            "outputDigest" | "output_digest" => Ok(GeneratedField::OutputDigest),
                            "digest" => Ok(GeneratedField::Digest),
                            "request" => Ok(GeneratedField::Request),
                            "stages" => Ok(GeneratedField::Stages),
                            "templateTime" | "template_time" => Ok(GeneratedField::TemplateTime),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Provenance;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Provenance")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Provenance, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut server_version__ = None;
                let mut model__ = None;
                let mut model_digest__ = None;
                let mut dtype__ = None;
                let mut device__ = None;
                let mut image_digests__ = None;
                let mut preprocessing__ = None;
                let mut prompt_text__ = None;
                let mut layout__ = None;
                let mut plan__ = None;
                let mut sampling__ = None;
                let mut sample_key__ = None;
                let mut output_digest__ = None;
                let mut digest__ = None;
                let mut request__ = None;
                let mut stages__ = None;
                let mut template_time__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ServerVersion => {
                            if server_version__.is_some() {
                                return Err(serde::de::Error::duplicate_field("serverVersion"));
                            }
                            server_version__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ModelDigest => {
                            if model_digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("modelDigest"));
                            }
                            model_digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Dtype => {
                            if dtype__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dtype"));
                            }
                            dtype__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Device => {
                            if device__.is_some() {
                                return Err(serde::de::Error::duplicate_field("device"));
                            }
                            device__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ImageDigests => {
                            if image_digests__.is_some() {
                                return Err(serde::de::Error::duplicate_field("imageDigests"));
                            }
                            image_digests__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Preprocessing => {
                            if preprocessing__.is_some() {
                                return Err(serde::de::Error::duplicate_field("preprocessing"));
                            }
                            preprocessing__ = Some(map_.next_value()?);
                        }
                        GeneratedField::PromptText => {
                            if prompt_text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("promptText"));
                            }
                            prompt_text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Layout => {
                            if layout__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layout"));
                            }
                            layout__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Plan => {
                            if plan__.is_some() {
                                return Err(serde::de::Error::duplicate_field("plan"));
                            }
                            plan__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Sampling => {
                            if sampling__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampling"));
                            }
                            sampling__ = map_.next_value()?;
                        }
                        GeneratedField::SampleKey => {
                            if sample_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampleKey"));
                            }
                            sample_key__ = Some(map_.next_value()?);
                        }
                        GeneratedField::OutputDigest => {
                            if output_digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("outputDigest"));
                            }
                            output_digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Digest => {
                            if digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("digest"));
                            }
                            digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Request => {
                            if request__.is_some() {
                                return Err(serde::de::Error::duplicate_field("request"));
                            }
                            request__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Stages => {
                            if stages__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stages"));
                            }
                            stages__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TemplateTime => {
                            if template_time__.is_some() {
                                return Err(serde::de::Error::duplicate_field("templateTime"));
                            }
                            template_time__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Provenance {
                    server_version: server_version__.unwrap_or_default(),
                    model: model__.unwrap_or_default(),
                    model_digest: model_digest__.unwrap_or_default(),
                    dtype: dtype__.unwrap_or_default(),
                    device: device__.unwrap_or_default(),
                    image_digests: image_digests__.unwrap_or_default(),
                    preprocessing: preprocessing__.unwrap_or_default(),
                    prompt_text: prompt_text__.unwrap_or_default(),
                    layout: layout__.unwrap_or_default(),
                    plan: plan__.unwrap_or_default(),
                    sampling: sampling__,
                    sample_key: sample_key__.unwrap_or_default(),
                    output_digest: output_digest__.unwrap_or_default(),
                    digest: digest__.unwrap_or_default(),
                    request: request__.unwrap_or_default(),
                    stages: stages__.unwrap_or_default(),
                    template_time: template_time__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Provenance", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for PruneTokens {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.layer != 0 {
            len += 1;
        }
        if self.amount.is_some() {
            len += 1;
        }
        if self.ranking.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.PruneTokens", len)?;
        if self.layer != 0 {
            struct_ser.serialize_field("layer", &self.layer)?;
        }
        if let Some(v) = self.amount.as_ref() {
            match v {
                prune_tokens::Amount::KeepShare(v) => {
                    struct_ser.serialize_field("keepShare", v)?;
                }
                prune_tokens::Amount::KeepCount(v) => {
                    struct_ser.serialize_field("keepCount", v)?;
                }
            }
        }
        if let Some(v) = self.ranking.as_ref() {
            match v {
                prune_tokens::Ranking::ReceivedFrom(v) => {
                    struct_ser.serialize_field("receivedFrom", v)?;
                }
                prune_tokens::Ranking::RandomSeed(v) => {
                    #[allow(clippy::needless_borrow)]
                    #[allow(clippy::needless_borrows_for_generic_args)]
                    struct_ser.serialize_field("randomSeed", ToString::to_string(&v).as_str())?;
                }
                prune_tokens::Ranking::ClassAttention(v) => {
                    struct_ser.serialize_field("classAttention", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for PruneTokens {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "layer",
            "keep_share",
            "keepShare",
            "keep_count",
            "keepCount",
            "received_from",
            "receivedFrom",
            "random_seed",
            "randomSeed",
            "class_attention",
            "classAttention",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Layer,
            KeepShare,
            KeepCount,
            ReceivedFrom,
            RandomSeed,
            ClassAttention,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "layer" => Ok(GeneratedField::Layer),
                            "keepShare" | "keep_share" => Ok(GeneratedField::KeepShare),
                            "keepCount" | "keep_count" => Ok(GeneratedField::KeepCount),
                            "receivedFrom" | "received_from" => Ok(GeneratedField::ReceivedFrom),
                            "randomSeed" | "random_seed" => Ok(GeneratedField::RandomSeed),
                            "classAttention" | "class_attention" => Ok(GeneratedField::ClassAttention),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = PruneTokens;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.PruneTokens")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<PruneTokens, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut layer__ = None;
                let mut amount__ = None;
                let mut ranking__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Layer => {
                            if layer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layer"));
                            }
                            layer__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::KeepShare => {
                            if amount__.is_some() {
                                return Err(serde::de::Error::duplicate_field("keepShare"));
                            }
                            amount__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| prune_tokens::Amount::KeepShare(x.0));
                        }
                        GeneratedField::KeepCount => {
                            if amount__.is_some() {
                                return Err(serde::de::Error::duplicate_field("keepCount"));
                            }
                            amount__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| prune_tokens::Amount::KeepCount(x.0));
                        }
                        GeneratedField::ReceivedFrom => {
                            if ranking__.is_some() {
                                return Err(serde::de::Error::duplicate_field("receivedFrom"));
                            }
                            ranking__ = map_.next_value::<::std::option::Option<_>>()?.map(prune_tokens::Ranking::ReceivedFrom)
;
                        }
                        GeneratedField::RandomSeed => {
                            if ranking__.is_some() {
                                return Err(serde::de::Error::duplicate_field("randomSeed"));
                            }
                            ranking__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| prune_tokens::Ranking::RandomSeed(x.0));
                        }
                        GeneratedField::ClassAttention => {
                            if ranking__.is_some() {
                                return Err(serde::de::Error::duplicate_field("classAttention"));
                            }
                            ranking__ = map_.next_value::<::std::option::Option<_>>()?.map(prune_tokens::Ranking::ClassAttention);
                        }
                    }
                }
                Ok(PruneTokens {
                    layer: layer__.unwrap_or_default(),
                    amount: amount__,
                    ranking: ranking__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.PruneTokens", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for RandomPatches {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.ratio != 0. {
            len += 1;
        }
        if self.seed.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.RandomPatches", len)?;
        if self.ratio != 0. {
            struct_ser.serialize_field("ratio", &self.ratio)?;
        }
        if let Some(v) = self.seed.as_ref() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seed", ToString::to_string(&v).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for RandomPatches {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "ratio",
            "seed",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Ratio,
            Seed,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "ratio" => Ok(GeneratedField::Ratio),
                            "seed" => Ok(GeneratedField::Seed),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = RandomPatches;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.RandomPatches")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<RandomPatches, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut ratio__ = None;
                let mut seed__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Ratio => {
                            if ratio__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ratio"));
                            }
                            ratio__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Seed => {
                            if seed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seed"));
                            }
                            seed__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                    }
                }
                Ok(RandomPatches {
                    ratio: ratio__.unwrap_or_default(),
                    seed: seed__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.RandomPatches", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Reader {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "READER_UNSPECIFIED",
            Self::Letter => "READER_LETTER",
            Self::YesNo => "READER_YES_NO",
            Self::Short => "READER_SHORT",
            Self::Relaxed => "READER_RELAXED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Reader {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "READER_UNSPECIFIED",
            "READER_LETTER",
            "READER_YES_NO",
            "READER_SHORT",
            "READER_RELAXED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Reader;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "READER_UNSPECIFIED" => Ok(Reader::Unspecified),
                    "READER_LETTER" => Ok(Reader::Letter),
                    "READER_YES_NO" => Ok(Reader::YesNo),
                    "READER_SHORT" => Ok(Reader::Short),
                    "READER_RELAXED" => Ok(Reader::Relaxed),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Reduction {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "REDUCTION_UNSPECIFIED",
            Self::None => "REDUCTION_NONE",
            Self::Mean => "REDUCTION_MEAN",
            Self::Norm => "REDUCTION_NORM",
            Self::Last => "REDUCTION_LAST",
            Self::TopTokens => "REDUCTION_TOP_TOKENS",
            Self::Received => "REDUCTION_RECEIVED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Reduction {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "REDUCTION_UNSPECIFIED",
            "REDUCTION_NONE",
            "REDUCTION_MEAN",
            "REDUCTION_NORM",
            "REDUCTION_LAST",
            "REDUCTION_TOP_TOKENS",
            "REDUCTION_RECEIVED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Reduction;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "REDUCTION_UNSPECIFIED" => Ok(Reduction::Unspecified),
                    "REDUCTION_NONE" => Ok(Reduction::None),
                    "REDUCTION_MEAN" => Ok(Reduction::Mean),
                    "REDUCTION_NORM" => Ok(Reduction::Norm),
                    "REDUCTION_LAST" => Ok(Reduction::Last),
                    "REDUCTION_TOP_TOKENS" => Ok(Reduction::TopTokens),
                    "REDUCTION_RECEIVED" => Ok(Reduction::Received),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for RepeatLayers {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.stack != 0 {
            len += 1;
        }
        if self.first != 0 {
            len += 1;
        }
        if self.last != 0 {
            len += 1;
        }
        if self.times != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.RepeatLayers", len)?;
        if self.stack != 0 {
            let v = Stack::try_from(self.stack)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.stack)))?;
            struct_ser.serialize_field("stack", &v)?;
        }
        if self.first != 0 {
            struct_ser.serialize_field("first", &self.first)?;
        }
        if self.last != 0 {
            struct_ser.serialize_field("last", &self.last)?;
        }
        if self.times != 0 {
            struct_ser.serialize_field("times", &self.times)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for RepeatLayers {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "stack",
            "first",
            "last",
            "times",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Stack,
            First,
            Last,
            Times,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "stack" => Ok(GeneratedField::Stack),
                            "first" => Ok(GeneratedField::First),
                            "last" => Ok(GeneratedField::Last),
                            "times" => Ok(GeneratedField::Times),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = RepeatLayers;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.RepeatLayers")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<RepeatLayers, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut stack__ = None;
                let mut first__ = None;
                let mut last__ = None;
                let mut times__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Stack => {
                            if stack__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stack"));
                            }
                            stack__ = Some(map_.next_value::<Stack>()? as i32);
                        }
                        GeneratedField::First => {
                            if first__.is_some() {
                                return Err(serde::de::Error::duplicate_field("first"));
                            }
                            first__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Last => {
                            if last__.is_some() {
                                return Err(serde::de::Error::duplicate_field("last"));
                            }
                            last__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Times => {
                            if times__.is_some() {
                                return Err(serde::de::Error::duplicate_field("times"));
                            }
                            times__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(RepeatLayers {
                    stack: stack__.unwrap_or_default(),
                    first: first__.unwrap_or_default(),
                    last: last__.unwrap_or_default(),
                    times: times__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.RepeatLayers", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ReplaceTokens {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.tokens.is_some() {
            len += 1;
        }
        if self.source.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ReplaceTokens", len)?;
        if let Some(v) = self.tokens.as_ref() {
            struct_ser.serialize_field("tokens", v)?;
        }
        if let Some(v) = self.source.as_ref() {
            match v {
                replace_tokens::Source::Constant(v) => {
                    let v = Constant::try_from(*v)
                        .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", *v)))?;
                    struct_ser.serialize_field("constant", &v)?;
                }
                replace_tokens::Source::Noise(v) => {
                    struct_ser.serialize_field("noise", v)?;
                }
                replace_tokens::Source::Donor(v) => {
                    struct_ser.serialize_field("donor", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ReplaceTokens {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "tokens",
            "constant",
            "noise",
            "donor",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Tokens,
            Constant,
            Noise,
            Donor,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "tokens" => Ok(GeneratedField::Tokens),
                            "constant" => Ok(GeneratedField::Constant),
                            "noise" => Ok(GeneratedField::Noise),
                            "donor" => Ok(GeneratedField::Donor),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ReplaceTokens;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ReplaceTokens")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ReplaceTokens, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut tokens__ = None;
                let mut source__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Tokens => {
                            if tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokens"));
                            }
                            tokens__ = map_.next_value()?;
                        }
                        GeneratedField::Constant => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("constant"));
                            }
                            source__ = map_.next_value::<::std::option::Option<Constant>>()?.map(|x| replace_tokens::Source::Constant(x as i32));
                        }
                        GeneratedField::Noise => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("noise"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(replace_tokens::Source::Noise)
;
                        }
                        GeneratedField::Donor => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("donor"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(replace_tokens::Source::Donor)
;
                        }
                    }
                }
                Ok(ReplaceTokens {
                    tokens: tokens__,
                    source: source__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ReplaceTokens", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Resolution {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.image != 0 {
            len += 1;
        }
        if !self.indices.is_empty() {
            len += 1;
        }
        if !self.digest.is_empty() {
            len += 1;
        }
        if !self.points.is_empty() {
            len += 1;
        }
        if self.view != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Resolution", len)?;
        if self.image != 0 {
            struct_ser.serialize_field("image", &self.image)?;
        }
        if !self.indices.is_empty() {
            struct_ser.serialize_field("indices", &self.indices)?;
        }
        if !self.digest.is_empty() {
            struct_ser.serialize_field("digest", &self.digest)?;
        }
        if !self.points.is_empty() {
            struct_ser.serialize_field("points", &self.points)?;
        }
        if self.view != 0 {
            struct_ser.serialize_field("view", &self.view)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Resolution {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "image",
            "indices",
            "digest",
            "points",
            "view",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Image,
            Indices,
            Digest,
            Points,
            View,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "image" => Ok(GeneratedField::Image),
                            "indices" => Ok(GeneratedField::Indices),
                            "digest" => Ok(GeneratedField::Digest),
                            "points" => Ok(GeneratedField::Points),
                            "view" => Ok(GeneratedField::View),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Resolution;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Resolution")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Resolution, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut image__ = None;
                let mut indices__ = None;
                let mut digest__ = None;
                let mut points__ = None;
                let mut view__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Image => {
                            if image__.is_some() {
                                return Err(serde::de::Error::duplicate_field("image"));
                            }
                            image__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Indices => {
                            if indices__.is_some() {
                                return Err(serde::de::Error::duplicate_field("indices"));
                            }
                            indices__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Digest => {
                            if digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("digest"));
                            }
                            digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Points => {
                            if points__.is_some() {
                                return Err(serde::de::Error::duplicate_field("points"));
                            }
                            points__ = Some(map_.next_value()?);
                        }
                        GeneratedField::View => {
                            if view__.is_some() {
                                return Err(serde::de::Error::duplicate_field("view"));
                            }
                            view__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Resolution {
                    image: image__.unwrap_or_default(),
                    indices: indices__.unwrap_or_default(),
                    digest: digest__.unwrap_or_default(),
                    points: points__.unwrap_or_default(),
                    view: view__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Resolution", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ResolvedIntervention {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.intervention.is_some() {
            len += 1;
        }
        if !self.resolutions.is_empty() {
            len += 1;
        }
        if self.changed_nothing {
            len += 1;
        }
        if self.fired != 0 {
            len += 1;
        }
        if self.relative_change.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ResolvedIntervention", len)?;
        if let Some(v) = self.intervention.as_ref() {
            struct_ser.serialize_field("intervention", v)?;
        }
        if !self.resolutions.is_empty() {
            struct_ser.serialize_field("resolutions", &self.resolutions)?;
        }
        if self.changed_nothing {
            struct_ser.serialize_field("changedNothing", &self.changed_nothing)?;
        }
        if self.fired != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("fired", ToString::to_string(&self.fired).as_str())?;
        }
        if let Some(v) = self.relative_change.as_ref() {
            struct_ser.serialize_field("relativeChange", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ResolvedIntervention {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "intervention",
            "resolutions",
            "changed_nothing",
            "changedNothing",
            "fired",
            "relative_change",
            "relativeChange",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Intervention,
            Resolutions,
            ChangedNothing,
            Fired,
            RelativeChange,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "intervention" => Ok(GeneratedField::Intervention),
                            "resolutions" => Ok(GeneratedField::Resolutions),
                            "changedNothing" | "changed_nothing" => Ok(GeneratedField::ChangedNothing),
                            "fired" => Ok(GeneratedField::Fired),
                            "relativeChange" | "relative_change" => Ok(GeneratedField::RelativeChange),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ResolvedIntervention;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ResolvedIntervention")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ResolvedIntervention, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut intervention__ = None;
                let mut resolutions__ = None;
                let mut changed_nothing__ = None;
                let mut fired__ = None;
                let mut relative_change__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Intervention => {
                            if intervention__.is_some() {
                                return Err(serde::de::Error::duplicate_field("intervention"));
                            }
                            intervention__ = map_.next_value()?;
                        }
                        GeneratedField::Resolutions => {
                            if resolutions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resolutions"));
                            }
                            resolutions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ChangedNothing => {
                            if changed_nothing__.is_some() {
                                return Err(serde::de::Error::duplicate_field("changedNothing"));
                            }
                            changed_nothing__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Fired => {
                            if fired__.is_some() {
                                return Err(serde::de::Error::duplicate_field("fired"));
                            }
                            fired__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::RelativeChange => {
                            if relative_change__.is_some() {
                                return Err(serde::de::Error::duplicate_field("relativeChange"));
                            }
                            relative_change__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                    }
                }
                Ok(ResolvedIntervention {
                    intervention: intervention__,
                    resolutions: resolutions__.unwrap_or_default(),
                    changed_nothing: changed_nothing__.unwrap_or_default(),
                    fired: fired__.unwrap_or_default(),
                    relative_change: relative_change__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ResolvedIntervention", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Rgb {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.red != 0 {
            len += 1;
        }
        if self.green != 0 {
            len += 1;
        }
        if self.blue != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Rgb", len)?;
        if self.red != 0 {
            struct_ser.serialize_field("red", &self.red)?;
        }
        if self.green != 0 {
            struct_ser.serialize_field("green", &self.green)?;
        }
        if self.blue != 0 {
            struct_ser.serialize_field("blue", &self.blue)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Rgb {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "red",
            "green",
            "blue",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Red,
            Green,
            Blue,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "red" => Ok(GeneratedField::Red),
                            "green" => Ok(GeneratedField::Green),
                            "blue" => Ok(GeneratedField::Blue),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Rgb;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Rgb")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Rgb, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut red__ = None;
                let mut green__ = None;
                let mut blue__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Red => {
                            if red__.is_some() {
                                return Err(serde::de::Error::duplicate_field("red"));
                            }
                            red__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Green => {
                            if green__.is_some() {
                                return Err(serde::de::Error::duplicate_field("green"));
                            }
                            green__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Blue => {
                            if blue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("blue"));
                            }
                            blue__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Rgb {
                    red: red__.unwrap_or_default(),
                    green: green__.unwrap_or_default(),
                    blue: blue__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Rgb", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Role {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "ROLE_UNSPECIFIED",
            Self::System => "ROLE_SYSTEM",
            Self::User => "ROLE_USER",
            Self::Assistant => "ROLE_ASSISTANT",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Role {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "ROLE_UNSPECIFIED",
            "ROLE_SYSTEM",
            "ROLE_USER",
            "ROLE_ASSISTANT",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Role;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "ROLE_UNSPECIFIED" => Ok(Role::Unspecified),
                    "ROLE_SYSTEM" => Ok(Role::System),
                    "ROLE_USER" => Ok(Role::User),
                    "ROLE_ASSISTANT" => Ok(Role::Assistant),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Row {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.line != 0 {
            len += 1;
        }
        if !self.cells.is_empty() {
            len += 1;
        }
        if !self.json.is_empty() {
            len += 1;
        }
        if !self.images.is_empty() {
            len += 1;
        }
        if self.number != 0 {
            len += 1;
        }
        if !self.files.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Row", len)?;
        if self.line != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("line", ToString::to_string(&self.line).as_str())?;
        }
        if !self.cells.is_empty() {
            struct_ser.serialize_field("cells", &self.cells)?;
        }
        if !self.json.is_empty() {
            struct_ser.serialize_field("json", &self.json)?;
        }
        if !self.images.is_empty() {
            struct_ser.serialize_field("images", &self.images)?;
        }
        if self.number != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("number", ToString::to_string(&self.number).as_str())?;
        }
        if !self.files.is_empty() {
            let v: std::collections::HashMap<_, _> = self.files.iter()
                .map(|(k, v)| (k, pbjson::private::base64::encode(v))).collect();
            struct_ser.serialize_field("files", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Row {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "line",
            "cells",
            "json",
            "images",
            "number",
            "files",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Line,
            Cells,
            Json,
            Images,
            Number,
            Files,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "line" => Ok(GeneratedField::Line),
                            "cells" => Ok(GeneratedField::Cells),
                            "json" => Ok(GeneratedField::Json),
                            "images" => Ok(GeneratedField::Images),
                            "number" => Ok(GeneratedField::Number),
                            "files" => Ok(GeneratedField::Files),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Row;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Row")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Row, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut line__ = None;
                let mut cells__ = None;
                let mut json__ = None;
                let mut images__ = None;
                let mut number__ = None;
                let mut files__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Line => {
                            if line__.is_some() {
                                return Err(serde::de::Error::duplicate_field("line"));
                            }
                            line__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Cells => {
                            if cells__.is_some() {
                                return Err(serde::de::Error::duplicate_field("cells"));
                            }
                            cells__ = Some(
                                map_.next_value::<std::collections::HashMap<_, _>>()?
                            );
                        }
                        GeneratedField::Json => {
                            if json__.is_some() {
                                return Err(serde::de::Error::duplicate_field("json"));
                            }
                            json__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Images => {
                            if images__.is_some() {
                                return Err(serde::de::Error::duplicate_field("images"));
                            }
                            images__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Number => {
                            if number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Files => {
                            if files__.is_some() {
                                return Err(serde::de::Error::duplicate_field("files"));
                            }
                            files__ = Some(
                                map_.next_value::<std::collections::HashMap<_, ::pbjson::private::BytesDeserialize<_>>>()?
                                    .into_iter().map(|(k,v)| (k, v.0)).collect()
                            );
                        }
                    }
                }
                Ok(Row {
                    line: line__.unwrap_or_default(),
                    cells: cells__.unwrap_or_default(),
                    json: json__.unwrap_or_default(),
                    images: images__.unwrap_or_default(),
                    number: number__.unwrap_or_default(),
                    files: files__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Row", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for RuleInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.about.is_empty() {
            len += 1;
        }
        if self.max_tokens != 0 {
            len += 1;
        }
        if self.compared {
            len += 1;
        }
        if !self.judged.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.RuleInfo", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.about.is_empty() {
            struct_ser.serialize_field("about", &self.about)?;
        }
        if self.max_tokens != 0 {
            struct_ser.serialize_field("maxTokens", &self.max_tokens)?;
        }
        if self.compared {
            struct_ser.serialize_field("compared", &self.compared)?;
        }
        if !self.judged.is_empty() {
            struct_ser.serialize_field("judged", &self.judged)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for RuleInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "about",
            "max_tokens",
            "maxTokens",
            "compared",
            "judged",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            About,
            MaxTokens,
            Compared,
            Judged,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "about" => Ok(GeneratedField::About),
                            "maxTokens" | "max_tokens" => Ok(GeneratedField::MaxTokens),
                            "compared" => Ok(GeneratedField::Compared),
                            "judged" => Ok(GeneratedField::Judged),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = RuleInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.RuleInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<RuleInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut about__ = None;
                let mut max_tokens__ = None;
                let mut compared__ = None;
                let mut judged__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::About => {
                            if about__.is_some() {
                                return Err(serde::de::Error::duplicate_field("about"));
                            }
                            about__ = Some(map_.next_value()?);
                        }
                        GeneratedField::MaxTokens => {
                            if max_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("maxTokens"));
                            }
                            max_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Compared => {
                            if compared__.is_some() {
                                return Err(serde::de::Error::duplicate_field("compared"));
                            }
                            compared__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Judged => {
                            if judged__.is_some() {
                                return Err(serde::de::Error::duplicate_field("judged"));
                            }
                            judged__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(RuleInfo {
                    name: name__.unwrap_or_default(),
                    about: about__.unwrap_or_default(),
                    max_tokens: max_tokens__.unwrap_or_default(),
                    compared: compared__.unwrap_or_default(),
                    judged: judged__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.RuleInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Saliency {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.weights.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Saliency", len)?;
        if !self.weights.is_empty() {
            struct_ser.serialize_field("weights", &self.weights)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Saliency {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "weights",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Weights,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "weights" => Ok(GeneratedField::Weights),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Saliency;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Saliency")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Saliency, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut weights__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Weights => {
                            if weights__.is_some() {
                                return Err(serde::de::Error::duplicate_field("weights"));
                            }
                            weights__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(Saliency {
                    weights: weights__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Saliency", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SalientPatches {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.head.is_some() {
            len += 1;
        }
        if self.amount.is_some() {
            len += 1;
        }
        if self.source.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SalientPatches", len)?;
        if let Some(v) = self.head.as_ref() {
            struct_ser.serialize_field("head", v)?;
        }
        if let Some(v) = self.amount.as_ref() {
            match v {
                salient_patches::Amount::Mass(v) => {
                    struct_ser.serialize_field("mass", v)?;
                }
                salient_patches::Amount::Share(v) => {
                    struct_ser.serialize_field("share", v)?;
                }
            }
        }
        if let Some(v) = self.source.as_ref() {
            match v {
                salient_patches::Source::Model(v) => {
                    struct_ser.serialize_field("model", v)?;
                }
                salient_patches::Source::Weights(v) => {
                    struct_ser.serialize_field("weights", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SalientPatches {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "head",
            "mass",
            "share",
            "model",
            "weights",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Head,
            Mass,
            Share,
            Model,
            Weights,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "head" => Ok(GeneratedField::Head),
                            "mass" => Ok(GeneratedField::Mass),
                            "share" => Ok(GeneratedField::Share),
                            "model" => Ok(GeneratedField::Model),
                            "weights" => Ok(GeneratedField::Weights),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SalientPatches;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SalientPatches")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SalientPatches, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut head__ = None;
                let mut amount__ = None;
                let mut source__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Head => {
                            if head__.is_some() {
                                return Err(serde::de::Error::duplicate_field("head"));
                            }
                            head__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::Mass => {
                            if amount__.is_some() {
                                return Err(serde::de::Error::duplicate_field("mass"));
                            }
                            amount__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| salient_patches::Amount::Mass(x.0));
                        }
                        GeneratedField::Share => {
                            if amount__.is_some() {
                                return Err(serde::de::Error::duplicate_field("share"));
                            }
                            amount__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| salient_patches::Amount::Share(x.0));
                        }
                        GeneratedField::Model => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(salient_patches::Source::Model);
                        }
                        GeneratedField::Weights => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("weights"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(salient_patches::Source::Weights)
;
                        }
                    }
                }
                Ok(SalientPatches {
                    head: head__,
                    amount: amount__,
                    source: source__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SalientPatches", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Sample {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.id.is_empty() {
            len += 1;
        }
        if !self.images.is_empty() {
            len += 1;
        }
        if !self.question.is_empty() {
            len += 1;
        }
        if !self.hint.is_empty() {
            len += 1;
        }
        if !self.options.is_empty() {
            len += 1;
        }
        if !self.answer.is_empty() {
            len += 1;
        }
        if !self.category.is_empty() {
            len += 1;
        }
        if !self.group.is_empty() {
            len += 1;
        }
        if !self.fields.is_empty() {
            len += 1;
        }
        if !self.substitutes.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Sample", len)?;
        if !self.id.is_empty() {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if !self.images.is_empty() {
            struct_ser.serialize_field("images", &self.images)?;
        }
        if !self.question.is_empty() {
            struct_ser.serialize_field("question", &self.question)?;
        }
        if !self.hint.is_empty() {
            struct_ser.serialize_field("hint", &self.hint)?;
        }
        if !self.options.is_empty() {
            struct_ser.serialize_field("options", &self.options)?;
        }
        if !self.answer.is_empty() {
            struct_ser.serialize_field("answer", &self.answer)?;
        }
        if !self.category.is_empty() {
            struct_ser.serialize_field("category", &self.category)?;
        }
        if !self.group.is_empty() {
            struct_ser.serialize_field("group", &self.group)?;
        }
        if !self.fields.is_empty() {
            struct_ser.serialize_field("fields", &self.fields)?;
        }
        if !self.substitutes.is_empty() {
            struct_ser.serialize_field("substitutes", &self.substitutes)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Sample {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "id",
            "images",
            "question",
            "hint",
            "options",
            "answer",
            "category",
            "group",
            "fields",
            "substitutes",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Id,
            Images,
            Question,
            Hint,
            Options,
            Answer,
            Category,
            Group,
            Fields,
            Substitutes,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "id" => Ok(GeneratedField::Id),
                            "images" => Ok(GeneratedField::Images),
                            "question" => Ok(GeneratedField::Question),
                            "hint" => Ok(GeneratedField::Hint),
                            "options" => Ok(GeneratedField::Options),
                            "answer" => Ok(GeneratedField::Answer),
                            "category" => Ok(GeneratedField::Category),
                            "group" => Ok(GeneratedField::Group),
                            "fields" => Ok(GeneratedField::Fields),
                            "substitutes" => Ok(GeneratedField::Substitutes),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Sample;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Sample")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Sample, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut id__ = None;
                let mut images__ = None;
                let mut question__ = None;
                let mut hint__ = None;
                let mut options__ = None;
                let mut answer__ = None;
                let mut category__ = None;
                let mut group__ = None;
                let mut fields__ = None;
                let mut substitutes__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Images => {
                            if images__.is_some() {
                                return Err(serde::de::Error::duplicate_field("images"));
                            }
                            images__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Question => {
                            if question__.is_some() {
                                return Err(serde::de::Error::duplicate_field("question"));
                            }
                            question__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Hint => {
                            if hint__.is_some() {
                                return Err(serde::de::Error::duplicate_field("hint"));
                            }
                            hint__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Options => {
                            if options__.is_some() {
                                return Err(serde::de::Error::duplicate_field("options"));
                            }
                            options__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Answer => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("answer"));
                            }
                            answer__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Category => {
                            if category__.is_some() {
                                return Err(serde::de::Error::duplicate_field("category"));
                            }
                            category__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Group => {
                            if group__.is_some() {
                                return Err(serde::de::Error::duplicate_field("group"));
                            }
                            group__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Fields => {
                            if fields__.is_some() {
                                return Err(serde::de::Error::duplicate_field("fields"));
                            }
                            fields__ = Some(
                                map_.next_value::<std::collections::HashMap<_, _>>()?
                            );
                        }
                        GeneratedField::Substitutes => {
                            if substitutes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("substitutes"));
                            }
                            substitutes__ = Some(
                                map_.next_value::<std::collections::HashMap<_, _>>()?
                            );
                        }
                    }
                }
                Ok(Sample {
                    id: id__.unwrap_or_default(),
                    images: images__.unwrap_or_default(),
                    question: question__.unwrap_or_default(),
                    hint: hint__.unwrap_or_default(),
                    options: options__.unwrap_or_default(),
                    answer: answer__.unwrap_or_default(),
                    category: category__.unwrap_or_default(),
                    group: group__.unwrap_or_default(),
                    fields: fields__.unwrap_or_default(),
                    substitutes: substitutes__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Sample", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SampleResult {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.id.is_empty() {
            len += 1;
        }
        if !self.variant.is_empty() {
            len += 1;
        }
        if !self.category.is_empty() {
            len += 1;
        }
        if !self.group.is_empty() {
            len += 1;
        }
        if !self.text.is_empty() {
            len += 1;
        }
        if !self.answer.is_empty() {
            len += 1;
        }
        if self.verdict != 0 {
            len += 1;
        }
        if self.grade != 0. {
            len += 1;
        }
        if !self.options.is_empty() {
            len += 1;
        }
        if !self.record_digest.is_empty() {
            len += 1;
        }
        if !self.output_digest.is_empty() {
            len += 1;
        }
        if self.usage.is_some() {
            len += 1;
        }
        if self.error.is_some() {
            len += 1;
        }
        if self.grade_of != 0. {
            len += 1;
        }
        if !self.review.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SampleResult", len)?;
        if !self.id.is_empty() {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if !self.variant.is_empty() {
            struct_ser.serialize_field("variant", &self.variant)?;
        }
        if !self.category.is_empty() {
            struct_ser.serialize_field("category", &self.category)?;
        }
        if !self.group.is_empty() {
            struct_ser.serialize_field("group", &self.group)?;
        }
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        if !self.answer.is_empty() {
            struct_ser.serialize_field("answer", &self.answer)?;
        }
        if self.verdict != 0 {
            let v = Verdict::try_from(self.verdict)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.verdict)))?;
            struct_ser.serialize_field("verdict", &v)?;
        }
        if self.grade != 0. {
            struct_ser.serialize_field("grade", &self.grade)?;
        }
        if !self.options.is_empty() {
            struct_ser.serialize_field("options", &self.options)?;
        }
        if !self.record_digest.is_empty() {
            struct_ser.serialize_field("recordDigest", &self.record_digest)?;
        }
        if !self.output_digest.is_empty() {
            struct_ser.serialize_field("outputDigest", &self.output_digest)?;
        }
        if let Some(v) = self.usage.as_ref() {
            struct_ser.serialize_field("usage", v)?;
        }
        if let Some(v) = self.error.as_ref() {
            struct_ser.serialize_field("error", v)?;
        }
        if self.grade_of != 0. {
            struct_ser.serialize_field("gradeOf", &self.grade_of)?;
        }
        if !self.review.is_empty() {
            struct_ser.serialize_field("review", &self.review)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SampleResult {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "id",
            "variant",
            "category",
            "group",
            "text",
            "answer",
            "verdict",
            "grade",
            "options",
            "record_digest",
            "recordDigest",
            "output_digest",
            "outputDigest",
            "usage",
            "error",
            "grade_of",
            "gradeOf",
            "review",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Id,
            Variant,
            Category,
            Group,
            Text,
            Answer,
            Verdict,
            Grade,
            Options,
            RecordDigest,
            OutputDigest,
            Usage,
            Error,
            GradeOf,
            Review,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "id" => Ok(GeneratedField::Id),
                            "variant" => Ok(GeneratedField::Variant),
                            "category" => Ok(GeneratedField::Category),
                            "group" => Ok(GeneratedField::Group),
                            "text" => Ok(GeneratedField::Text),
                            "answer" => Ok(GeneratedField::Answer),
                            "verdict" => Ok(GeneratedField::Verdict),
                            "grade" => Ok(GeneratedField::Grade),
                            "options" => Ok(GeneratedField::Options),
                            "recordDigest" | "record_digest" => Ok(GeneratedField::RecordDigest),
                            "outputDigest" | "output_digest" => Ok(GeneratedField::OutputDigest),
                            "usage" => Ok(GeneratedField::Usage),
                            "error" => Ok(GeneratedField::Error),
                            "gradeOf" | "grade_of" => Ok(GeneratedField::GradeOf),
                            "review" => Ok(GeneratedField::Review),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SampleResult;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SampleResult")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SampleResult, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut id__ = None;
                let mut variant__ = None;
                let mut category__ = None;
                let mut group__ = None;
                let mut text__ = None;
                let mut answer__ = None;
                let mut verdict__ = None;
                let mut grade__ = None;
                let mut options__ = None;
                let mut record_digest__ = None;
                let mut output_digest__ = None;
                let mut usage__ = None;
                let mut error__ = None;
                let mut grade_of__ = None;
                let mut review__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Variant => {
                            if variant__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variant"));
                            }
                            variant__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Category => {
                            if category__.is_some() {
                                return Err(serde::de::Error::duplicate_field("category"));
                            }
                            category__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Group => {
                            if group__.is_some() {
                                return Err(serde::de::Error::duplicate_field("group"));
                            }
                            group__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Answer => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("answer"));
                            }
                            answer__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Verdict => {
                            if verdict__.is_some() {
                                return Err(serde::de::Error::duplicate_field("verdict"));
                            }
                            verdict__ = Some(map_.next_value::<Verdict>()? as i32);
                        }
                        GeneratedField::Grade => {
                            if grade__.is_some() {
                                return Err(serde::de::Error::duplicate_field("grade"));
                            }
                            grade__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Options => {
                            if options__.is_some() {
                                return Err(serde::de::Error::duplicate_field("options"));
                            }
                            options__ = Some(map_.next_value()?);
                        }
                        GeneratedField::RecordDigest => {
                            if record_digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("recordDigest"));
                            }
                            record_digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::OutputDigest => {
                            if output_digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("outputDigest"));
                            }
                            output_digest__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Usage => {
                            if usage__.is_some() {
                                return Err(serde::de::Error::duplicate_field("usage"));
                            }
                            usage__ = map_.next_value()?;
                        }
                        GeneratedField::Error => {
                            if error__.is_some() {
                                return Err(serde::de::Error::duplicate_field("error"));
                            }
                            error__ = map_.next_value()?;
                        }
                        GeneratedField::GradeOf => {
                            if grade_of__.is_some() {
                                return Err(serde::de::Error::duplicate_field("gradeOf"));
                            }
                            grade_of__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Review => {
                            if review__.is_some() {
                                return Err(serde::de::Error::duplicate_field("review"));
                            }
                            review__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(SampleResult {
                    id: id__.unwrap_or_default(),
                    variant: variant__.unwrap_or_default(),
                    category: category__.unwrap_or_default(),
                    group: group__.unwrap_or_default(),
                    text: text__.unwrap_or_default(),
                    answer: answer__.unwrap_or_default(),
                    verdict: verdict__.unwrap_or_default(),
                    grade: grade__.unwrap_or_default(),
                    options: options__.unwrap_or_default(),
                    record_digest: record_digest__.unwrap_or_default(),
                    output_digest: output_digest__.unwrap_or_default(),
                    usage: usage__,
                    error: error__,
                    grade_of: grade_of__.unwrap_or_default(),
                    review: review__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SampleResult", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Sampling {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.temperature != 0. {
            len += 1;
        }
        if self.top_k != 0 {
            len += 1;
        }
        if self.top_p.is_some() {
            len += 1;
        }
        if self.seed.is_some() {
            len += 1;
        }
        if self.do_sample {
            len += 1;
        }
        if self.min_p.is_some() {
            len += 1;
        }
        if self.typical_p.is_some() {
            len += 1;
        }
        if self.epsilon_cutoff.is_some() {
            len += 1;
        }
        if self.eta_cutoff.is_some() {
            len += 1;
        }
        if self.top_h.is_some() {
            len += 1;
        }
        if self.repetition_penalty.is_some() {
            len += 1;
        }
        if self.no_repeat_ngram_size.is_some() {
            len += 1;
        }
        if self.min_tokens.is_some() {
            len += 1;
        }
        if !self.suppress_tokens.is_empty() {
            len += 1;
        }
        if !self.logit_bias.is_empty() {
            len += 1;
        }
        if self.ignore_generation_config {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Sampling", len)?;
        if self.temperature != 0. {
            struct_ser.serialize_field("temperature", &self.temperature)?;
        }
        if self.top_k != 0 {
            struct_ser.serialize_field("topK", &self.top_k)?;
        }
        if let Some(v) = self.top_p.as_ref() {
            struct_ser.serialize_field("topP", v)?;
        }
        if let Some(v) = self.seed.as_ref() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seed", ToString::to_string(&v).as_str())?;
        }
        if self.do_sample {
            struct_ser.serialize_field("doSample", &self.do_sample)?;
        }
        if let Some(v) = self.min_p.as_ref() {
            struct_ser.serialize_field("minP", v)?;
        }
        if let Some(v) = self.typical_p.as_ref() {
            struct_ser.serialize_field("typicalP", v)?;
        }
        if let Some(v) = self.epsilon_cutoff.as_ref() {
            struct_ser.serialize_field("epsilonCutoff", v)?;
        }
        if let Some(v) = self.eta_cutoff.as_ref() {
            struct_ser.serialize_field("etaCutoff", v)?;
        }
        if let Some(v) = self.top_h.as_ref() {
            struct_ser.serialize_field("topH", v)?;
        }
        if let Some(v) = self.repetition_penalty.as_ref() {
            struct_ser.serialize_field("repetitionPenalty", v)?;
        }
        if let Some(v) = self.no_repeat_ngram_size.as_ref() {
            struct_ser.serialize_field("noRepeatNgramSize", v)?;
        }
        if let Some(v) = self.min_tokens.as_ref() {
            struct_ser.serialize_field("minTokens", v)?;
        }
        if !self.suppress_tokens.is_empty() {
            struct_ser.serialize_field("suppressTokens", &self.suppress_tokens)?;
        }
        if !self.logit_bias.is_empty() {
            struct_ser.serialize_field("logitBias", &self.logit_bias)?;
        }
        if self.ignore_generation_config {
            struct_ser.serialize_field("ignoreGenerationConfig", &self.ignore_generation_config)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Sampling {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "temperature",
            "top_k",
            "topK",
            "top_p",
            "topP",
            "seed",
            "do_sample",
            "doSample",
            "min_p",
            "minP",
            "typical_p",
            "typicalP",
            "epsilon_cutoff",
            "epsilonCutoff",
            "eta_cutoff",
            "etaCutoff",
            "top_h",
            "topH",
            "repetition_penalty",
            "repetitionPenalty",
            "no_repeat_ngram_size",
            "noRepeatNgramSize",
            "min_tokens",
            "minTokens",
            "suppress_tokens",
            "suppressTokens",
            "logit_bias",
            "logitBias",
            "ignore_generation_config",
            "ignoreGenerationConfig",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Temperature,
            TopK,
            TopP,
            Seed,
            DoSample,
            MinP,
            TypicalP,
            EpsilonCutoff,
            EtaCutoff,
            TopH,
            RepetitionPenalty,
            NoRepeatNgramSize,
            MinTokens,
            SuppressTokens,
            LogitBias,
            IgnoreGenerationConfig,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "temperature" => Ok(GeneratedField::Temperature),
                            "topK" | "top_k" => Ok(GeneratedField::TopK),
                            "topP" | "top_p" => Ok(GeneratedField::TopP),
                            "seed" => Ok(GeneratedField::Seed),
                            "doSample" | "do_sample" => Ok(GeneratedField::DoSample),
                            "minP" | "min_p" => Ok(GeneratedField::MinP),
                            "typicalP" | "typical_p" => Ok(GeneratedField::TypicalP),
                            "epsilonCutoff" | "epsilon_cutoff" => Ok(GeneratedField::EpsilonCutoff),
                            "etaCutoff" | "eta_cutoff" => Ok(GeneratedField::EtaCutoff),
                            "topH" | "top_h" => Ok(GeneratedField::TopH),
                            "repetitionPenalty" | "repetition_penalty" => Ok(GeneratedField::RepetitionPenalty),
                            "noRepeatNgramSize" | "no_repeat_ngram_size" => Ok(GeneratedField::NoRepeatNgramSize),
                            "minTokens" | "min_tokens" => Ok(GeneratedField::MinTokens),
                            "suppressTokens" | "suppress_tokens" => Ok(GeneratedField::SuppressTokens),
                            "logitBias" | "logit_bias" => Ok(GeneratedField::LogitBias),
                            "ignoreGenerationConfig" | "ignore_generation_config" => Ok(GeneratedField::IgnoreGenerationConfig),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Sampling;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Sampling")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Sampling, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut temperature__ = None;
                let mut top_k__ = None;
                let mut top_p__ = None;
                let mut seed__ = None;
                let mut do_sample__ = None;
                let mut min_p__ = None;
                let mut typical_p__ = None;
                let mut epsilon_cutoff__ = None;
                let mut eta_cutoff__ = None;
                let mut top_h__ = None;
                let mut repetition_penalty__ = None;
                let mut no_repeat_ngram_size__ = None;
                let mut min_tokens__ = None;
                let mut suppress_tokens__ = None;
                let mut logit_bias__ = None;
                let mut ignore_generation_config__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Temperature => {
                            if temperature__.is_some() {
                                return Err(serde::de::Error::duplicate_field("temperature"));
                            }
                            temperature__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TopK => {
                            if top_k__.is_some() {
                                return Err(serde::de::Error::duplicate_field("topK"));
                            }
                            top_k__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TopP => {
                            if top_p__.is_some() {
                                return Err(serde::de::Error::duplicate_field("topP"));
                            }
                            top_p__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::Seed => {
                            if seed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seed"));
                            }
                            seed__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::DoSample => {
                            if do_sample__.is_some() {
                                return Err(serde::de::Error::duplicate_field("doSample"));
                            }
                            do_sample__ = Some(map_.next_value()?);
                        }
                        GeneratedField::MinP => {
                            if min_p__.is_some() {
                                return Err(serde::de::Error::duplicate_field("minP"));
                            }
                            min_p__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::TypicalP => {
                            if typical_p__.is_some() {
                                return Err(serde::de::Error::duplicate_field("typicalP"));
                            }
                            typical_p__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::EpsilonCutoff => {
                            if epsilon_cutoff__.is_some() {
                                return Err(serde::de::Error::duplicate_field("epsilonCutoff"));
                            }
                            epsilon_cutoff__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::EtaCutoff => {
                            if eta_cutoff__.is_some() {
                                return Err(serde::de::Error::duplicate_field("etaCutoff"));
                            }
                            eta_cutoff__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::TopH => {
                            if top_h__.is_some() {
                                return Err(serde::de::Error::duplicate_field("topH"));
                            }
                            top_h__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::RepetitionPenalty => {
                            if repetition_penalty__.is_some() {
                                return Err(serde::de::Error::duplicate_field("repetitionPenalty"));
                            }
                            repetition_penalty__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::NoRepeatNgramSize => {
                            if no_repeat_ngram_size__.is_some() {
                                return Err(serde::de::Error::duplicate_field("noRepeatNgramSize"));
                            }
                            no_repeat_ngram_size__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::MinTokens => {
                            if min_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("minTokens"));
                            }
                            min_tokens__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::SuppressTokens => {
                            if suppress_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("suppressTokens"));
                            }
                            suppress_tokens__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::LogitBias => {
                            if logit_bias__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logitBias"));
                            }
                            logit_bias__ = Some(
                                map_.next_value::<std::collections::HashMap<::pbjson::private::NumberDeserialize<u32>, ::pbjson::private::NumberDeserialize<f64>>>()?
                                    .into_iter().map(|(k,v)| (k.0, v.0)).collect()
                            );
                        }
                        GeneratedField::IgnoreGenerationConfig => {
                            if ignore_generation_config__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ignoreGenerationConfig"));
                            }
                            ignore_generation_config__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Sampling {
                    temperature: temperature__.unwrap_or_default(),
                    top_k: top_k__.unwrap_or_default(),
                    top_p: top_p__,
                    seed: seed__,
                    do_sample: do_sample__.unwrap_or_default(),
                    min_p: min_p__,
                    typical_p: typical_p__,
                    epsilon_cutoff: epsilon_cutoff__,
                    eta_cutoff: eta_cutoff__,
                    top_h: top_h__,
                    repetition_penalty: repetition_penalty__,
                    no_repeat_ngram_size: no_repeat_ngram_size__,
                    min_tokens: min_tokens__,
                    suppress_tokens: suppress_tokens__.unwrap_or_default(),
                    logit_bias: logit_bias__.unwrap_or_default(),
                    ignore_generation_config: ignore_generation_config__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Sampling", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Scale {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target.is_some() {
            len += 1;
        }
        if self.factor != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Scale", len)?;
        if let Some(v) = self.target.as_ref() {
            struct_ser.serialize_field("target", v)?;
        }
        if self.factor != 0. {
            struct_ser.serialize_field("factor", &self.factor)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Scale {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "factor",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Factor,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "factor" => Ok(GeneratedField::Factor),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Scale;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Scale")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Scale, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut factor__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = map_.next_value()?;
                        }
                        GeneratedField::Factor => {
                            if factor__.is_some() {
                                return Err(serde::de::Error::duplicate_field("factor"));
                            }
                            factor__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Scale {
                    target: target__,
                    factor: factor__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Scale", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ScoreRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        if self.prompt.is_some() {
            len += 1;
        }
        if !self.interventions.is_empty() {
            len += 1;
        }
        if !self.continuations.is_empty() {
            len += 1;
        }
        if !self.sample_key.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ScoreRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        if let Some(v) = self.prompt.as_ref() {
            struct_ser.serialize_field("prompt", v)?;
        }
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        if !self.continuations.is_empty() {
            struct_ser.serialize_field("continuations", &self.continuations)?;
        }
        if !self.sample_key.is_empty() {
            struct_ser.serialize_field("sampleKey", &self.sample_key)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ScoreRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
            "prompt",
            "interventions",
            "continuations",
            "sample_key",
            "sampleKey",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
            Prompt,
            Interventions,
            Continuations,
            SampleKey,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            "prompt" => Ok(GeneratedField::Prompt),
                            "interventions" => Ok(GeneratedField::Interventions),
                            "continuations" => Ok(GeneratedField::Continuations),
                            "sampleKey" | "sample_key" => Ok(GeneratedField::SampleKey),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ScoreRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ScoreRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ScoreRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                let mut prompt__ = None;
                let mut interventions__ = None;
                let mut continuations__ = None;
                let mut sample_key__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Prompt => {
                            if prompt__.is_some() {
                                return Err(serde::de::Error::duplicate_field("prompt"));
                            }
                            prompt__ = map_.next_value()?;
                        }
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Continuations => {
                            if continuations__.is_some() {
                                return Err(serde::de::Error::duplicate_field("continuations"));
                            }
                            continuations__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SampleKey => {
                            if sample_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sampleKey"));
                            }
                            sample_key__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ScoreRequest {
                    model: model__.unwrap_or_default(),
                    prompt: prompt__,
                    interventions: interventions__.unwrap_or_default(),
                    continuations: continuations__.unwrap_or_default(),
                    sample_key: sample_key__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ScoreRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ScoreResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.scores.is_empty() {
            len += 1;
        }
        if self.best != 0 {
            len += 1;
        }
        if self.usage.is_some() {
            len += 1;
        }
        if self.provenance.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ScoreResponse", len)?;
        if !self.scores.is_empty() {
            struct_ser.serialize_field("scores", &self.scores)?;
        }
        if self.best != 0 {
            struct_ser.serialize_field("best", &self.best)?;
        }
        if let Some(v) = self.usage.as_ref() {
            struct_ser.serialize_field("usage", v)?;
        }
        if let Some(v) = self.provenance.as_ref() {
            struct_ser.serialize_field("provenance", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ScoreResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "scores",
            "best",
            "usage",
            "provenance",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Scores,
            Best,
            Usage,
            Provenance,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "scores" => Ok(GeneratedField::Scores),
                            "best" => Ok(GeneratedField::Best),
                            "usage" => Ok(GeneratedField::Usage),
                            "provenance" => Ok(GeneratedField::Provenance),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ScoreResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ScoreResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ScoreResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut scores__ = None;
                let mut best__ = None;
                let mut usage__ = None;
                let mut provenance__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Scores => {
                            if scores__.is_some() {
                                return Err(serde::de::Error::duplicate_field("scores"));
                            }
                            scores__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Best => {
                            if best__.is_some() {
                                return Err(serde::de::Error::duplicate_field("best"));
                            }
                            best__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Usage => {
                            if usage__.is_some() {
                                return Err(serde::de::Error::duplicate_field("usage"));
                            }
                            usage__ = map_.next_value()?;
                        }
                        GeneratedField::Provenance => {
                            if provenance__.is_some() {
                                return Err(serde::de::Error::duplicate_field("provenance"));
                            }
                            provenance__ = map_.next_value()?;
                        }
                    }
                }
                Ok(ScoreResponse {
                    scores: scores__.unwrap_or_default(),
                    best: best__.unwrap_or_default(),
                    usage: usage__,
                    provenance: provenance__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ScoreResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SelectTokens {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.tokens.is_some() {
            len += 1;
        }
        if self.mode != 0 {
            len += 1;
        }
        if self.positions != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SelectTokens", len)?;
        if let Some(v) = self.tokens.as_ref() {
            struct_ser.serialize_field("tokens", v)?;
        }
        if self.mode != 0 {
            let v = select_tokens::Mode::try_from(self.mode)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.mode)))?;
            struct_ser.serialize_field("mode", &v)?;
        }
        if self.positions != 0 {
            let v = select_tokens::Positions::try_from(self.positions)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.positions)))?;
            struct_ser.serialize_field("positions", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SelectTokens {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "tokens",
            "mode",
            "positions",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Tokens,
            Mode,
            Positions,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "tokens" => Ok(GeneratedField::Tokens),
                            "mode" => Ok(GeneratedField::Mode),
                            "positions" => Ok(GeneratedField::Positions),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SelectTokens;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SelectTokens")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SelectTokens, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut tokens__ = None;
                let mut mode__ = None;
                let mut positions__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Tokens => {
                            if tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokens"));
                            }
                            tokens__ = map_.next_value()?;
                        }
                        GeneratedField::Mode => {
                            if mode__.is_some() {
                                return Err(serde::de::Error::duplicate_field("mode"));
                            }
                            mode__ = Some(map_.next_value::<select_tokens::Mode>()? as i32);
                        }
                        GeneratedField::Positions => {
                            if positions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("positions"));
                            }
                            positions__ = Some(map_.next_value::<select_tokens::Positions>()? as i32);
                        }
                    }
                }
                Ok(SelectTokens {
                    tokens: tokens__,
                    mode: mode__.unwrap_or_default(),
                    positions: positions__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SelectTokens", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for select_tokens::Mode {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "MODE_UNSPECIFIED",
            Self::Keep => "MODE_KEEP",
            Self::Remove => "MODE_REMOVE",
            Self::Pool => "MODE_POOL",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for select_tokens::Mode {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "MODE_UNSPECIFIED",
            "MODE_KEEP",
            "MODE_REMOVE",
            "MODE_POOL",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = select_tokens::Mode;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "MODE_UNSPECIFIED" => Ok(select_tokens::Mode::Unspecified),
                    "MODE_KEEP" => Ok(select_tokens::Mode::Keep),
                    "MODE_REMOVE" => Ok(select_tokens::Mode::Remove),
                    "MODE_POOL" => Ok(select_tokens::Mode::Pool),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for select_tokens::Positions {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "POSITIONS_UNSPECIFIED",
            Self::Original => "POSITIONS_ORIGINAL",
            Self::Compact => "POSITIONS_COMPACT",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for select_tokens::Positions {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "POSITIONS_UNSPECIFIED",
            "POSITIONS_ORIGINAL",
            "POSITIONS_COMPACT",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = select_tokens::Positions;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "POSITIONS_UNSPECIFIED" => Ok(select_tokens::Positions::Unspecified),
                    "POSITIONS_ORIGINAL" => Ok(select_tokens::Positions::Original),
                    "POSITIONS_COMPACT" => Ok(select_tokens::Positions::Compact),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for ShufflePatches {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.grid != 0 {
            len += 1;
        }
        if self.source.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.ShufflePatches", len)?;
        if self.grid != 0 {
            struct_ser.serialize_field("grid", &self.grid)?;
        }
        if let Some(v) = self.source.as_ref() {
            match v {
                shuffle_patches::Source::Seed(v) => {
                    #[allow(clippy::needless_borrow)]
                    #[allow(clippy::needless_borrows_for_generic_args)]
                    struct_ser.serialize_field("seed", ToString::to_string(&v).as_str())?;
                }
                shuffle_patches::Source::Order(v) => {
                    struct_ser.serialize_field("order", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ShufflePatches {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "grid",
            "seed",
            "order",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Grid,
            Seed,
            Order,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "grid" => Ok(GeneratedField::Grid),
                            "seed" => Ok(GeneratedField::Seed),
                            "order" => Ok(GeneratedField::Order),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ShufflePatches;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.ShufflePatches")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ShufflePatches, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut grid__ = None;
                let mut source__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Grid => {
                            if grid__.is_some() {
                                return Err(serde::de::Error::duplicate_field("grid"));
                            }
                            grid__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Seed => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seed"));
                            }
                            source__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| shuffle_patches::Source::Seed(x.0));
                        }
                        GeneratedField::Order => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("order"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(shuffle_patches::Source::Order)
;
                        }
                    }
                }
                Ok(ShufflePatches {
                    grid: grid__.unwrap_or_default(),
                    source: source__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.ShufflePatches", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Span {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.kind != 0 {
            len += 1;
        }
        if self.start != 0 {
            len += 1;
        }
        if self.end != 0 {
            len += 1;
        }
        if self.image != 0 {
            len += 1;
        }
        if self.grid_rows != 0 {
            len += 1;
        }
        if self.grid_columns != 0 {
            len += 1;
        }
        if self.tile != 0 {
            len += 1;
        }
        if self.row != 0 {
            len += 1;
        }
        if self.column != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Span", len)?;
        if self.kind != 0 {
            let v = SpanKind::try_from(self.kind)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.kind)))?;
            struct_ser.serialize_field("kind", &v)?;
        }
        if self.start != 0 {
            struct_ser.serialize_field("start", &self.start)?;
        }
        if self.end != 0 {
            struct_ser.serialize_field("end", &self.end)?;
        }
        if self.image != 0 {
            struct_ser.serialize_field("image", &self.image)?;
        }
        if self.grid_rows != 0 {
            struct_ser.serialize_field("gridRows", &self.grid_rows)?;
        }
        if self.grid_columns != 0 {
            struct_ser.serialize_field("gridColumns", &self.grid_columns)?;
        }
        if self.tile != 0 {
            struct_ser.serialize_field("tile", &self.tile)?;
        }
        if self.row != 0 {
            struct_ser.serialize_field("row", &self.row)?;
        }
        if self.column != 0 {
            struct_ser.serialize_field("column", &self.column)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Span {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "kind",
            "start",
            "end",
            "image",
            "grid_rows",
            "gridRows",
            "grid_columns",
            "gridColumns",
            "tile",
            "row",
            "column",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Kind,
            Start,
            End,
            Image,
            GridRows,
            GridColumns,
            Tile,
            Row,
            Column,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "kind" => Ok(GeneratedField::Kind),
                            "start" => Ok(GeneratedField::Start),
                            "end" => Ok(GeneratedField::End),
                            "image" => Ok(GeneratedField::Image),
                            "gridRows" | "grid_rows" => Ok(GeneratedField::GridRows),
                            "gridColumns" | "grid_columns" => Ok(GeneratedField::GridColumns),
                            "tile" => Ok(GeneratedField::Tile),
                            "row" => Ok(GeneratedField::Row),
                            "column" => Ok(GeneratedField::Column),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Span;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Span")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Span, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut kind__ = None;
                let mut start__ = None;
                let mut end__ = None;
                let mut image__ = None;
                let mut grid_rows__ = None;
                let mut grid_columns__ = None;
                let mut tile__ = None;
                let mut row__ = None;
                let mut column__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Kind => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("kind"));
                            }
                            kind__ = Some(map_.next_value::<SpanKind>()? as i32);
                        }
                        GeneratedField::Start => {
                            if start__.is_some() {
                                return Err(serde::de::Error::duplicate_field("start"));
                            }
                            start__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::End => {
                            if end__.is_some() {
                                return Err(serde::de::Error::duplicate_field("end"));
                            }
                            end__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Image => {
                            if image__.is_some() {
                                return Err(serde::de::Error::duplicate_field("image"));
                            }
                            image__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::GridRows => {
                            if grid_rows__.is_some() {
                                return Err(serde::de::Error::duplicate_field("gridRows"));
                            }
                            grid_rows__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::GridColumns => {
                            if grid_columns__.is_some() {
                                return Err(serde::de::Error::duplicate_field("gridColumns"));
                            }
                            grid_columns__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Tile => {
                            if tile__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tile"));
                            }
                            tile__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Row => {
                            if row__.is_some() {
                                return Err(serde::de::Error::duplicate_field("row"));
                            }
                            row__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Column => {
                            if column__.is_some() {
                                return Err(serde::de::Error::duplicate_field("column"));
                            }
                            column__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Span {
                    kind: kind__.unwrap_or_default(),
                    start: start__.unwrap_or_default(),
                    end: end__.unwrap_or_default(),
                    image: image__.unwrap_or_default(),
                    grid_rows: grid_rows__.unwrap_or_default(),
                    grid_columns: grid_columns__.unwrap_or_default(),
                    tile: tile__.unwrap_or_default(),
                    row: row__.unwrap_or_default(),
                    column: column__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Span", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SpanKind {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "SPAN_KIND_UNSPECIFIED",
            Self::Text => "SPAN_KIND_TEXT",
            Self::BaseView => "SPAN_KIND_BASE_VIEW",
            Self::Tile => "SPAN_KIND_TILE",
            Self::Newline => "SPAN_KIND_NEWLINE",
            Self::Pooled => "SPAN_KIND_POOLED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for SpanKind {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "SPAN_KIND_UNSPECIFIED",
            "SPAN_KIND_TEXT",
            "SPAN_KIND_BASE_VIEW",
            "SPAN_KIND_TILE",
            "SPAN_KIND_NEWLINE",
            "SPAN_KIND_POOLED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = SpanKind;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "SPAN_KIND_UNSPECIFIED" => Ok(SpanKind::Unspecified),
                    "SPAN_KIND_TEXT" => Ok(SpanKind::Text),
                    "SPAN_KIND_BASE_VIEW" => Ok(SpanKind::BaseView),
                    "SPAN_KIND_TILE" => Ok(SpanKind::Tile),
                    "SPAN_KIND_NEWLINE" => Ok(SpanKind::Newline),
                    "SPAN_KIND_POOLED" => Ok(SpanKind::Pooled),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Stack {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "STACK_UNSPECIFIED",
            Self::VisionTower => "STACK_VISION_TOWER",
            Self::LanguageModel => "STACK_LANGUAGE_MODEL",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Stack {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "STACK_UNSPECIFIED",
            "STACK_VISION_TOWER",
            "STACK_LANGUAGE_MODEL",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Stack;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "STACK_UNSPECIFIED" => Ok(Stack::Unspecified),
                    "STACK_VISION_TOWER" => Ok(Stack::VisionTower),
                    "STACK_LANGUAGE_MODEL" => Ok(Stack::LanguageModel),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for StackInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.layers != 0 {
            len += 1;
        }
        if self.width != 0 {
            len += 1;
        }
        if self.heads != 0 {
            len += 1;
        }
        if self.kv_heads != 0 {
            len += 1;
        }
        if self.layers_run != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.StackInfo", len)?;
        if self.layers != 0 {
            struct_ser.serialize_field("layers", &self.layers)?;
        }
        if self.width != 0 {
            struct_ser.serialize_field("width", &self.width)?;
        }
        if self.heads != 0 {
            struct_ser.serialize_field("heads", &self.heads)?;
        }
        if self.kv_heads != 0 {
            struct_ser.serialize_field("kvHeads", &self.kv_heads)?;
        }
        if self.layers_run != 0 {
            struct_ser.serialize_field("layersRun", &self.layers_run)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for StackInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "layers",
            "width",
            "heads",
            "kv_heads",
            "kvHeads",
            "layers_run",
            "layersRun",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Layers,
            Width,
            Heads,
            KvHeads,
            LayersRun,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "layers" => Ok(GeneratedField::Layers),
                            "width" => Ok(GeneratedField::Width),
                            "heads" => Ok(GeneratedField::Heads),
                            "kvHeads" | "kv_heads" => Ok(GeneratedField::KvHeads),
                            "layersRun" | "layers_run" => Ok(GeneratedField::LayersRun),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = StackInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.StackInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<StackInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut layers__ = None;
                let mut width__ = None;
                let mut heads__ = None;
                let mut kv_heads__ = None;
                let mut layers_run__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Layers => {
                            if layers__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layers"));
                            }
                            layers__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Width => {
                            if width__.is_some() {
                                return Err(serde::de::Error::duplicate_field("width"));
                            }
                            width__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Heads => {
                            if heads__.is_some() {
                                return Err(serde::de::Error::duplicate_field("heads"));
                            }
                            heads__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::KvHeads => {
                            if kv_heads__.is_some() {
                                return Err(serde::de::Error::duplicate_field("kvHeads"));
                            }
                            kv_heads__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::LayersRun => {
                            if layers_run__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layersRun"));
                            }
                            layers_run__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(StackInfo {
                    layers: layers__.unwrap_or_default(),
                    width: width__.unwrap_or_default(),
                    heads: heads__.unwrap_or_default(),
                    kv_heads: kv_heads__.unwrap_or_default(),
                    layers_run: layers_run__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.StackInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Stage {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.digest.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Stage", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.digest.is_empty() {
            struct_ser.serialize_field("digest", &self.digest)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Stage {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "digest",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            Digest,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "digest" => Ok(GeneratedField::Digest),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Stage;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Stage")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Stage, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut digest__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Digest => {
                            if digest__.is_some() {
                                return Err(serde::de::Error::duplicate_field("digest"));
                            }
                            digest__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Stage {
                    name: name__.unwrap_or_default(),
                    digest: digest__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Stage", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Started {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.request_id.is_empty() {
            len += 1;
        }
        if self.prompt_tokens != 0 {
            len += 1;
        }
        if self.image_tokens != 0 {
            len += 1;
        }
        if self.cost != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Started", len)?;
        if !self.request_id.is_empty() {
            struct_ser.serialize_field("requestId", &self.request_id)?;
        }
        if self.prompt_tokens != 0 {
            struct_ser.serialize_field("promptTokens", &self.prompt_tokens)?;
        }
        if self.image_tokens != 0 {
            struct_ser.serialize_field("imageTokens", &self.image_tokens)?;
        }
        if self.cost != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("cost", ToString::to_string(&self.cost).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Started {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "request_id",
            "requestId",
            "prompt_tokens",
            "promptTokens",
            "image_tokens",
            "imageTokens",
            "cost",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RequestId,
            PromptTokens,
            ImageTokens,
            Cost,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "requestId" | "request_id" => Ok(GeneratedField::RequestId),
                            "promptTokens" | "prompt_tokens" => Ok(GeneratedField::PromptTokens),
                            "imageTokens" | "image_tokens" => Ok(GeneratedField::ImageTokens),
                            "cost" => Ok(GeneratedField::Cost),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Started;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Started")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Started, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut request_id__ = None;
                let mut prompt_tokens__ = None;
                let mut image_tokens__ = None;
                let mut cost__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RequestId => {
                            if request_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("requestId"));
                            }
                            request_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::PromptTokens => {
                            if prompt_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("promptTokens"));
                            }
                            prompt_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::ImageTokens => {
                            if image_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("imageTokens"));
                            }
                            image_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Cost => {
                            if cost__.is_some() {
                                return Err(serde::de::Error::duplicate_field("cost"));
                            }
                            cost__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Started {
                    request_id: request_id__.unwrap_or_default(),
                    prompt_tokens: prompt_tokens__.unwrap_or_default(),
                    image_tokens: image_tokens__.unwrap_or_default(),
                    cost: cost__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Started", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Steer {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.target.is_some() {
            len += 1;
        }
        if !self.vector.is_empty() {
            len += 1;
        }
        if self.scale != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Steer", len)?;
        if let Some(v) = self.target.as_ref() {
            struct_ser.serialize_field("target", v)?;
        }
        if !self.vector.is_empty() {
            struct_ser.serialize_field("vector", &self.vector)?;
        }
        if self.scale != 0. {
            struct_ser.serialize_field("scale", &self.scale)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Steer {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "target",
            "vector",
            "scale",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Target,
            Vector,
            Scale,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "target" => Ok(GeneratedField::Target),
                            "vector" => Ok(GeneratedField::Vector),
                            "scale" => Ok(GeneratedField::Scale),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Steer;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Steer")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Steer, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut target__ = None;
                let mut vector__ = None;
                let mut scale__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Target => {
                            if target__.is_some() {
                                return Err(serde::de::Error::duplicate_field("target"));
                            }
                            target__ = map_.next_value()?;
                        }
                        GeneratedField::Vector => {
                            if vector__.is_some() {
                                return Err(serde::de::Error::duplicate_field("vector"));
                            }
                            vector__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Scale => {
                            if scale__.is_some() {
                                return Err(serde::de::Error::duplicate_field("scale"));
                            }
                            scale__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Steer {
                    target: target__,
                    vector: vector__.unwrap_or_default(),
                    scale: scale__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Steer", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Steps {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.first != 0 {
            len += 1;
        }
        if self.last.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Steps", len)?;
        if self.first != 0 {
            struct_ser.serialize_field("first", &self.first)?;
        }
        if let Some(v) = self.last.as_ref() {
            struct_ser.serialize_field("last", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Steps {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "first",
            "last",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            First,
            Last,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "first" => Ok(GeneratedField::First),
                            "last" => Ok(GeneratedField::Last),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Steps;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Steps")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Steps, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut first__ = None;
                let mut last__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::First => {
                            if first__.is_some() {
                                return Err(serde::de::Error::duplicate_field("first"));
                            }
                            first__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Last => {
                            if last__.is_some() {
                                return Err(serde::de::Error::duplicate_field("last"));
                            }
                            last__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                    }
                }
                Ok(Steps {
                    first: first__.unwrap_or_default(),
                    last: last__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Steps", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SwapProjector {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.source.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SwapProjector", len)?;
        if let Some(v) = self.source.as_ref() {
            match v {
                swap_projector::Source::Name(v) => {
                    struct_ser.serialize_field("name", v)?;
                }
                swap_projector::Source::RandomSeed(v) => {
                    #[allow(clippy::needless_borrow)]
                    #[allow(clippy::needless_borrows_for_generic_args)]
                    struct_ser.serialize_field("randomSeed", ToString::to_string(&v).as_str())?;
                }
                swap_projector::Source::Identity(v) => {
                    struct_ser.serialize_field("identity", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SwapProjector {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "random_seed",
            "randomSeed",
            "identity",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            RandomSeed,
            Identity,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "randomSeed" | "random_seed" => Ok(GeneratedField::RandomSeed),
                            "identity" => Ok(GeneratedField::Identity),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SwapProjector;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SwapProjector")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SwapProjector, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut source__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(swap_projector::Source::Name);
                        }
                        GeneratedField::RandomSeed => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("randomSeed"));
                            }
                            source__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| swap_projector::Source::RandomSeed(x.0));
                        }
                        GeneratedField::Identity => {
                            if source__.is_some() {
                                return Err(serde::de::Error::duplicate_field("identity"));
                            }
                            source__ = map_.next_value::<::std::option::Option<_>>()?.map(swap_projector::Source::Identity)
;
                        }
                    }
                }
                Ok(SwapProjector {
                    source: source__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SwapProjector", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepAxis {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.field.is_empty() {
            len += 1;
        }
        if self.values.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepAxis", len)?;
        if !self.field.is_empty() {
            struct_ser.serialize_field("field", &self.field)?;
        }
        if let Some(v) = self.values.as_ref() {
            match v {
                sweep_axis::Values::Range(v) => {
                    struct_ser.serialize_field("range", v)?;
                }
                sweep_axis::Values::Numbers(v) => {
                    struct_ser.serialize_field("numbers", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepAxis {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "field",
            "range",
            "numbers",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Field,
            Range,
            Numbers,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "field" => Ok(GeneratedField::Field),
                            "range" => Ok(GeneratedField::Range),
                            "numbers" => Ok(GeneratedField::Numbers),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepAxis;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepAxis")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepAxis, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut field__ = None;
                let mut values__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Field => {
                            if field__.is_some() {
                                return Err(serde::de::Error::duplicate_field("field"));
                            }
                            field__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Range => {
                            if values__.is_some() {
                                return Err(serde::de::Error::duplicate_field("range"));
                            }
                            values__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_axis::Values::Range)
;
                        }
                        GeneratedField::Numbers => {
                            if values__.is_some() {
                                return Err(serde::de::Error::duplicate_field("numbers"));
                            }
                            values__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_axis::Values::Numbers)
;
                        }
                    }
                }
                Ok(SweepAxis {
                    field: field__.unwrap_or_default(),
                    values: values__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepAxis", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepError {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.code != 0 {
            len += 1;
        }
        if !self.reason.is_empty() {
            len += 1;
        }
        if !self.field.is_empty() {
            len += 1;
        }
        if !self.message.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepError", len)?;
        if self.code != 0 {
            struct_ser.serialize_field("code", &self.code)?;
        }
        if !self.reason.is_empty() {
            struct_ser.serialize_field("reason", &self.reason)?;
        }
        if !self.field.is_empty() {
            struct_ser.serialize_field("field", &self.field)?;
        }
        if !self.message.is_empty() {
            struct_ser.serialize_field("message", &self.message)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepError {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "code",
            "reason",
            "field",
            "message",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Code,
            Reason,
            Field,
            Message,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "code" => Ok(GeneratedField::Code),
                            "reason" => Ok(GeneratedField::Reason),
                            "field" => Ok(GeneratedField::Field),
                            "message" => Ok(GeneratedField::Message),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepError;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepError")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepError, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut code__ = None;
                let mut reason__ = None;
                let mut field__ = None;
                let mut message__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Code => {
                            if code__.is_some() {
                                return Err(serde::de::Error::duplicate_field("code"));
                            }
                            code__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Field => {
                            if field__.is_some() {
                                return Err(serde::de::Error::duplicate_field("field"));
                            }
                            field__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Message => {
                            if message__.is_some() {
                                return Err(serde::de::Error::duplicate_field("message"));
                            }
                            message__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(SweepError {
                    code: code__.unwrap_or_default(),
                    reason: reason__.unwrap_or_default(),
                    field: field__.unwrap_or_default(),
                    message: message__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepError", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepFinished {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.variants != 0 {
            len += 1;
        }
        if self.failed != 0 {
            len += 1;
        }
        if self.rows_computed != 0 {
            len += 1;
        }
        if self.rows_naive != 0 {
            len += 1;
        }
        if self.total_seconds != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepFinished", len)?;
        if self.variants != 0 {
            struct_ser.serialize_field("variants", &self.variants)?;
        }
        if self.failed != 0 {
            struct_ser.serialize_field("failed", &self.failed)?;
        }
        if self.rows_computed != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("rowsComputed", ToString::to_string(&self.rows_computed).as_str())?;
        }
        if self.rows_naive != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("rowsNaive", ToString::to_string(&self.rows_naive).as_str())?;
        }
        if self.total_seconds != 0. {
            struct_ser.serialize_field("totalSeconds", &self.total_seconds)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepFinished {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "variants",
            "failed",
            "rows_computed",
            "rowsComputed",
            "rows_naive",
            "rowsNaive",
            "total_seconds",
            "totalSeconds",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Variants,
            Failed,
            RowsComputed,
            RowsNaive,
            TotalSeconds,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "variants" => Ok(GeneratedField::Variants),
                            "failed" => Ok(GeneratedField::Failed),
                            "rowsComputed" | "rows_computed" => Ok(GeneratedField::RowsComputed),
                            "rowsNaive" | "rows_naive" => Ok(GeneratedField::RowsNaive),
                            "totalSeconds" | "total_seconds" => Ok(GeneratedField::TotalSeconds),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepFinished;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepFinished")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepFinished, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut variants__ = None;
                let mut failed__ = None;
                let mut rows_computed__ = None;
                let mut rows_naive__ = None;
                let mut total_seconds__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Variants => {
                            if variants__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variants"));
                            }
                            variants__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Failed => {
                            if failed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("failed"));
                            }
                            failed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::RowsComputed => {
                            if rows_computed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rowsComputed"));
                            }
                            rows_computed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::RowsNaive => {
                            if rows_naive__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rowsNaive"));
                            }
                            rows_naive__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TotalSeconds => {
                            if total_seconds__.is_some() {
                                return Err(serde::de::Error::duplicate_field("totalSeconds"));
                            }
                            total_seconds__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(SweepFinished {
                    variants: variants__.unwrap_or_default(),
                    failed: failed__.unwrap_or_default(),
                    rows_computed: rows_computed__.unwrap_or_default(),
                    rows_naive: rows_naive__.unwrap_or_default(),
                    total_seconds: total_seconds__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepFinished", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepGrid {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.interventions.is_empty() {
            len += 1;
        }
        if !self.axes.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepGrid", len)?;
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        if !self.axes.is_empty() {
            struct_ser.serialize_field("axes", &self.axes)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepGrid {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "interventions",
            "axes",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Interventions,
            Axes,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "interventions" => Ok(GeneratedField::Interventions),
                            "axes" => Ok(GeneratedField::Axes),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepGrid;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepGrid")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepGrid, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut interventions__ = None;
                let mut axes__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Axes => {
                            if axes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("axes"));
                            }
                            axes__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(SweepGrid {
                    interventions: interventions__.unwrap_or_default(),
                    axes: axes__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepGrid", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepNumbers {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.values.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepNumbers", len)?;
        if !self.values.is_empty() {
            struct_ser.serialize_field("values", &self.values)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepNumbers {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "values",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Values,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "values" => Ok(GeneratedField::Values),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepNumbers;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepNumbers")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepNumbers, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut values__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Values => {
                            if values__.is_some() {
                                return Err(serde::de::Error::duplicate_field("values"));
                            }
                            values__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(SweepNumbers {
                    values: values__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepNumbers", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepRange {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.first != 0. {
            len += 1;
        }
        if self.last != 0. {
            len += 1;
        }
        if self.step != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepRange", len)?;
        if self.first != 0. {
            struct_ser.serialize_field("first", &self.first)?;
        }
        if self.last != 0. {
            struct_ser.serialize_field("last", &self.last)?;
        }
        if self.step != 0. {
            struct_ser.serialize_field("step", &self.step)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepRange {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "first",
            "last",
            "step",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            First,
            Last,
            Step,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "first" => Ok(GeneratedField::First),
                            "last" => Ok(GeneratedField::Last),
                            "step" => Ok(GeneratedField::Step),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepRange;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepRange")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepRange, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut first__ = None;
                let mut last__ = None;
                let mut step__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::First => {
                            if first__.is_some() {
                                return Err(serde::de::Error::duplicate_field("first"));
                            }
                            first__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Last => {
                            if last__.is_some() {
                                return Err(serde::de::Error::duplicate_field("last"));
                            }
                            last__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Step => {
                            if step__.is_some() {
                                return Err(serde::de::Error::duplicate_field("step"));
                            }
                            step__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(SweepRange {
                    first: first__.unwrap_or_default(),
                    last: last__.unwrap_or_default(),
                    step: step__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepRange", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.variants.is_empty() {
            len += 1;
        }
        if self.grid.is_some() {
            len += 1;
        }
        if self.input.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepRequest", len)?;
        if !self.variants.is_empty() {
            struct_ser.serialize_field("variants", &self.variants)?;
        }
        if let Some(v) = self.grid.as_ref() {
            struct_ser.serialize_field("grid", v)?;
        }
        if let Some(v) = self.input.as_ref() {
            match v {
                sweep_request::Input::Generate(v) => {
                    struct_ser.serialize_field("generate", v)?;
                }
                sweep_request::Input::Score(v) => {
                    struct_ser.serialize_field("score", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "variants",
            "grid",
            "generate",
            "score",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Variants,
            Grid,
            Generate,
            Score,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "variants" => Ok(GeneratedField::Variants),
                            "grid" => Ok(GeneratedField::Grid),
                            "generate" => Ok(GeneratedField::Generate),
                            "score" => Ok(GeneratedField::Score),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut variants__ = None;
                let mut grid__ = None;
                let mut input__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Variants => {
                            if variants__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variants"));
                            }
                            variants__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Grid => {
                            if grid__.is_some() {
                                return Err(serde::de::Error::duplicate_field("grid"));
                            }
                            grid__ = map_.next_value()?;
                        }
                        GeneratedField::Generate => {
                            if input__.is_some() {
                                return Err(serde::de::Error::duplicate_field("generate"));
                            }
                            input__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_request::Input::Generate)
;
                        }
                        GeneratedField::Score => {
                            if input__.is_some() {
                                return Err(serde::de::Error::duplicate_field("score"));
                            }
                            input__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_request::Input::Score)
;
                        }
                    }
                }
                Ok(SweepRequest {
                    variants: variants__.unwrap_or_default(),
                    grid: grid__,
                    input: input__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepResponse", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                sweep_response::Event::Started(v) => {
                    struct_ser.serialize_field("started", v)?;
                }
                sweep_response::Event::Result(v) => {
                    struct_ser.serialize_field("result", v)?;
                }
                sweep_response::Event::Finished(v) => {
                    struct_ser.serialize_field("finished", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "started",
            "result",
            "finished",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Started,
            Result,
            Finished,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "started" => Ok(GeneratedField::Started),
                            "result" => Ok(GeneratedField::Result),
                            "finished" => Ok(GeneratedField::Finished),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Started => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("started"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_response::Event::Started)
;
                        }
                        GeneratedField::Result => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("result"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_response::Event::Result)
;
                        }
                        GeneratedField::Finished => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("finished"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_response::Event::Finished)
;
                        }
                    }
                }
                Ok(SweepResponse {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepResult {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.variant != 0 {
            len += 1;
        }
        if !self.places.is_empty() {
            len += 1;
        }
        if self.outcome.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepResult", len)?;
        if self.variant != 0 {
            struct_ser.serialize_field("variant", &self.variant)?;
        }
        if !self.places.is_empty() {
            struct_ser.serialize_field("places", &self.places)?;
        }
        if let Some(v) = self.outcome.as_ref() {
            match v {
                sweep_result::Outcome::Generated(v) => {
                    struct_ser.serialize_field("generated", v)?;
                }
                sweep_result::Outcome::Scored(v) => {
                    struct_ser.serialize_field("scored", v)?;
                }
                sweep_result::Outcome::Error(v) => {
                    struct_ser.serialize_field("error", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepResult {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "variant",
            "places",
            "generated",
            "scored",
            "error",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Variant,
            Places,
            Generated,
            Scored,
            Error,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "variant" => Ok(GeneratedField::Variant),
                            "places" => Ok(GeneratedField::Places),
                            "generated" => Ok(GeneratedField::Generated),
                            "scored" => Ok(GeneratedField::Scored),
                            "error" => Ok(GeneratedField::Error),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepResult;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepResult")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepResult, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut variant__ = None;
                let mut places__ = None;
                let mut outcome__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Variant => {
                            if variant__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variant"));
                            }
                            variant__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Places => {
                            if places__.is_some() {
                                return Err(serde::de::Error::duplicate_field("places"));
                            }
                            places__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Generated => {
                            if outcome__.is_some() {
                                return Err(serde::de::Error::duplicate_field("generated"));
                            }
                            outcome__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_result::Outcome::Generated)
;
                        }
                        GeneratedField::Scored => {
                            if outcome__.is_some() {
                                return Err(serde::de::Error::duplicate_field("scored"));
                            }
                            outcome__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_result::Outcome::Scored)
;
                        }
                        GeneratedField::Error => {
                            if outcome__.is_some() {
                                return Err(serde::de::Error::duplicate_field("error"));
                            }
                            outcome__ = map_.next_value::<::std::option::Option<_>>()?.map(sweep_result::Outcome::Error)
;
                        }
                    }
                }
                Ok(SweepResult {
                    variant: variant__.unwrap_or_default(),
                    places: places__.unwrap_or_default(),
                    outcome: outcome__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepResult", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepStarted {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.request_id.is_empty() {
            len += 1;
        }
        if self.variants != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepStarted", len)?;
        if !self.request_id.is_empty() {
            struct_ser.serialize_field("requestId", &self.request_id)?;
        }
        if self.variants != 0 {
            struct_ser.serialize_field("variants", &self.variants)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepStarted {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "request_id",
            "requestId",
            "variants",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RequestId,
            Variants,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "requestId" | "request_id" => Ok(GeneratedField::RequestId),
                            "variants" => Ok(GeneratedField::Variants),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepStarted;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepStarted")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepStarted, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut request_id__ = None;
                let mut variants__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RequestId => {
                            if request_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("requestId"));
                            }
                            request_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Variants => {
                            if variants__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variants"));
                            }
                            variants__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(SweepStarted {
                    request_id: request_id__.unwrap_or_default(),
                    variants: variants__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepStarted", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SweepVariant {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.interventions.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.SweepVariant", len)?;
        if !self.interventions.is_empty() {
            struct_ser.serialize_field("interventions", &self.interventions)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SweepVariant {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "interventions",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Interventions,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "interventions" => Ok(GeneratedField::Interventions),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SweepVariant;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.SweepVariant")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SweepVariant, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut interventions__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Interventions => {
                            if interventions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("interventions"));
                            }
                            interventions__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(SweepVariant {
                    interventions: interventions__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.SweepVariant", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Target {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.point.is_empty() {
            len += 1;
        }
        if !self.layers.is_empty() {
            len += 1;
        }
        if self.tokens.is_some() {
            len += 1;
        }
        if !self.heads.is_empty() {
            len += 1;
        }
        if !self.dimensions.is_empty() {
            len += 1;
        }
        if self.steps.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Target", len)?;
        if !self.point.is_empty() {
            struct_ser.serialize_field("point", &self.point)?;
        }
        if !self.layers.is_empty() {
            struct_ser.serialize_field("layers", &self.layers)?;
        }
        if let Some(v) = self.tokens.as_ref() {
            struct_ser.serialize_field("tokens", v)?;
        }
        if !self.heads.is_empty() {
            struct_ser.serialize_field("heads", &self.heads)?;
        }
        if !self.dimensions.is_empty() {
            struct_ser.serialize_field("dimensions", &self.dimensions)?;
        }
        if let Some(v) = self.steps.as_ref() {
            struct_ser.serialize_field("steps", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Target {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "point",
            "layers",
            "tokens",
            "heads",
            "dimensions",
            "steps",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Point,
            Layers,
            Tokens,
            Heads,
            Dimensions,
            Steps,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "point" => Ok(GeneratedField::Point),
                            "layers" => Ok(GeneratedField::Layers),
                            "tokens" => Ok(GeneratedField::Tokens),
                            "heads" => Ok(GeneratedField::Heads),
                            "dimensions" => Ok(GeneratedField::Dimensions),
                            "steps" => Ok(GeneratedField::Steps),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Target;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Target")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Target, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut point__ = None;
                let mut layers__ = None;
                let mut tokens__ = None;
                let mut heads__ = None;
                let mut dimensions__ = None;
                let mut steps__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Point => {
                            if point__.is_some() {
                                return Err(serde::de::Error::duplicate_field("point"));
                            }
                            point__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Layers => {
                            if layers__.is_some() {
                                return Err(serde::de::Error::duplicate_field("layers"));
                            }
                            layers__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Tokens => {
                            if tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokens"));
                            }
                            tokens__ = map_.next_value()?;
                        }
                        GeneratedField::Heads => {
                            if heads__.is_some() {
                                return Err(serde::de::Error::duplicate_field("heads"));
                            }
                            heads__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Dimensions => {
                            if dimensions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dimensions"));
                            }
                            dimensions__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Steps => {
                            if steps__.is_some() {
                                return Err(serde::de::Error::duplicate_field("steps"));
                            }
                            steps__ = map_.next_value()?;
                        }
                    }
                }
                Ok(Target {
                    point: point__.unwrap_or_default(),
                    layers: layers__.unwrap_or_default(),
                    tokens: tokens__,
                    heads: heads__.unwrap_or_default(),
                    dimensions: dimensions__.unwrap_or_default(),
                    steps: steps__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Target", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Tensor {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.shape.is_empty() {
            len += 1;
        }
        if self.dtype != 0 {
            len += 1;
        }
        if !self.data.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Tensor", len)?;
        if !self.shape.is_empty() {
            struct_ser.serialize_field("shape", &self.shape)?;
        }
        if self.dtype != 0 {
            let v = DataType::try_from(self.dtype)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.dtype)))?;
            struct_ser.serialize_field("dtype", &v)?;
        }
        if !self.data.is_empty() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("data", pbjson::private::base64::encode(&self.data).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Tensor {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "shape",
            "dtype",
            "data",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Shape,
            Dtype,
            Data,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "shape" => Ok(GeneratedField::Shape),
                            "dtype" => Ok(GeneratedField::Dtype),
                            "data" => Ok(GeneratedField::Data),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Tensor;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Tensor")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Tensor, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut shape__ = None;
                let mut dtype__ = None;
                let mut data__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Shape => {
                            if shape__.is_some() {
                                return Err(serde::de::Error::duplicate_field("shape"));
                            }
                            shape__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                        GeneratedField::Dtype => {
                            if dtype__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dtype"));
                            }
                            dtype__ = Some(map_.next_value::<DataType>()? as i32);
                        }
                        GeneratedField::Data => {
                            if data__.is_some() {
                                return Err(serde::de::Error::duplicate_field("data"));
                            }
                            data__ = 
                                Some(map_.next_value::<::pbjson::private::BytesDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Tensor {
                    shape: shape__.unwrap_or_default(),
                    dtype: dtype__.unwrap_or_default(),
                    data: data__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Tensor", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Token {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.id != 0 {
            len += 1;
        }
        if !self.text.is_empty() {
            len += 1;
        }
        if self.logprob != 0. {
            len += 1;
        }
        if !self.top.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Token", len)?;
        if self.id != 0 {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        if self.logprob != 0. {
            struct_ser.serialize_field("logprob", &self.logprob)?;
        }
        if !self.top.is_empty() {
            struct_ser.serialize_field("top", &self.top)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Token {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "id",
            "text",
            "logprob",
            "top",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Id,
            Text,
            Logprob,
            Top,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "id" => Ok(GeneratedField::Id),
                            "text" => Ok(GeneratedField::Text),
                            "logprob" => Ok(GeneratedField::Logprob),
                            "top" => Ok(GeneratedField::Top),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Token;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Token")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Token, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut id__ = None;
                let mut text__ = None;
                let mut logprob__ = None;
                let mut top__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Logprob => {
                            if logprob__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logprob"));
                            }
                            logprob__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Top => {
                            if top__.is_some() {
                                return Err(serde::de::Error::duplicate_field("top"));
                            }
                            top__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Token {
                    id: id__.unwrap_or_default(),
                    text: text__.unwrap_or_default(),
                    logprob: logprob__.unwrap_or_default(),
                    top: top__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Token", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for TokenBlocks {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.grid != 0 {
            len += 1;
        }
        if !self.indices.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.TokenBlocks", len)?;
        if self.grid != 0 {
            struct_ser.serialize_field("grid", &self.grid)?;
        }
        if !self.indices.is_empty() {
            struct_ser.serialize_field("indices", &self.indices)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TokenBlocks {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "grid",
            "indices",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Grid,
            Indices,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "grid" => Ok(GeneratedField::Grid),
                            "indices" => Ok(GeneratedField::Indices),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TokenBlocks;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.TokenBlocks")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TokenBlocks, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut grid__ = None;
                let mut indices__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Grid => {
                            if grid__.is_some() {
                                return Err(serde::de::Error::duplicate_field("grid"));
                            }
                            grid__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Indices => {
                            if indices__.is_some() {
                                return Err(serde::de::Error::duplicate_field("indices"));
                            }
                            indices__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(TokenBlocks {
                    grid: grid__.unwrap_or_default(),
                    indices: indices__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.TokenBlocks", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for TokenIndices {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.indices.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.TokenIndices", len)?;
        if !self.indices.is_empty() {
            struct_ser.serialize_field("indices", &self.indices)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TokenIndices {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "indices",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Indices,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "indices" => Ok(GeneratedField::Indices),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TokenIndices;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.TokenIndices")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TokenIndices, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut indices__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Indices => {
                            if indices__.is_some() {
                                return Err(serde::de::Error::duplicate_field("indices"));
                            }
                            indices__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(TokenIndices {
                    indices: indices__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.TokenIndices", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for TokenLogprob {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.id != 0 {
            len += 1;
        }
        if !self.text.is_empty() {
            len += 1;
        }
        if self.logprob != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.TokenLogprob", len)?;
        if self.id != 0 {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        if self.logprob != 0. {
            struct_ser.serialize_field("logprob", &self.logprob)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TokenLogprob {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "id",
            "text",
            "logprob",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Id,
            Text,
            Logprob,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "id" => Ok(GeneratedField::Id),
                            "text" => Ok(GeneratedField::Text),
                            "logprob" => Ok(GeneratedField::Logprob),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TokenLogprob;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.TokenLogprob")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TokenLogprob, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut id__ = None;
                let mut text__ = None;
                let mut logprob__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Logprob => {
                            if logprob__.is_some() {
                                return Err(serde::de::Error::duplicate_field("logprob"));
                            }
                            logprob__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(TokenLogprob {
                    id: id__.unwrap_or_default(),
                    text: text__.unwrap_or_default(),
                    logprob: logprob__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.TokenLogprob", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for TokenNoise {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.seed.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.TokenNoise", len)?;
        if let Some(v) = self.seed.as_ref() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seed", ToString::to_string(&v).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TokenNoise {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "seed",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Seed,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "seed" => Ok(GeneratedField::Seed),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TokenNoise;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.TokenNoise")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TokenNoise, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut seed__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Seed => {
                            if seed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seed"));
                            }
                            seed__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                    }
                }
                Ok(TokenNoise {
                    seed: seed__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.TokenNoise", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for TokenOrder {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.indices.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.TokenOrder", len)?;
        if !self.indices.is_empty() {
            struct_ser.serialize_field("indices", &self.indices)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TokenOrder {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "indices",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Indices,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "indices" => Ok(GeneratedField::Indices),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TokenOrder;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.TokenOrder")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TokenOrder, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut indices__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Indices => {
                            if indices__.is_some() {
                                return Err(serde::de::Error::duplicate_field("indices"));
                            }
                            indices__ = 
                                Some(map_.next_value::<Vec<::pbjson::private::NumberDeserialize<_>>>()?
                                    .into_iter().map(|x| x.0).collect())
                            ;
                        }
                    }
                }
                Ok(TokenOrder {
                    indices: indices__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.TokenOrder", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for TokenSelector {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.any_of.is_empty() {
            len += 1;
        }
        if self.complement {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.TokenSelector", len)?;
        if !self.any_of.is_empty() {
            struct_ser.serialize_field("anyOf", &self.any_of)?;
        }
        if self.complement {
            struct_ser.serialize_field("complement", &self.complement)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TokenSelector {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "any_of",
            "anyOf",
            "complement",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            AnyOf,
            Complement,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "anyOf" | "any_of" => Ok(GeneratedField::AnyOf),
                            "complement" => Ok(GeneratedField::Complement),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TokenSelector;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.TokenSelector")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TokenSelector, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut any_of__ = None;
                let mut complement__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::AnyOf => {
                            if any_of__.is_some() {
                                return Err(serde::de::Error::duplicate_field("anyOf"));
                            }
                            any_of__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Complement => {
                            if complement__.is_some() {
                                return Err(serde::de::Error::duplicate_field("complement"));
                            }
                            complement__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(TokenSelector {
                    any_of: any_of__.unwrap_or_default(),
                    complement: complement__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.TokenSelector", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Tokens {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.set.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Tokens", len)?;
        if let Some(v) = self.set.as_ref() {
            match v {
                tokens::Set::Named(v) => {
                    let v = tokens::Named::try_from(*v)
                        .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", *v)))?;
                    struct_ser.serialize_field("named", &v)?;
                }
                tokens::Set::Indices(v) => {
                    struct_ser.serialize_field("indices", v)?;
                }
                tokens::Set::Image(v) => {
                    struct_ser.serialize_field("image", v)?;
                }
                tokens::Set::Tile(v) => {
                    struct_ser.serialize_field("tile", v)?;
                }
                tokens::Set::Blocks(v) => {
                    struct_ser.serialize_field("blocks", v)?;
                }
                tokens::Set::Random(v) => {
                    struct_ser.serialize_field("random", v)?;
                }
                tokens::Set::Salient(v) => {
                    struct_ser.serialize_field("salient", v)?;
                }
                tokens::Set::Turn(v) => {
                    struct_ser.serialize_field("turn", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Tokens {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "named",
            "indices",
            "image",
            "tile",
            "blocks",
            "random",
            "salient",
            "turn",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Named,
            Indices,
            Image,
            Tile,
            Blocks,
            Random,
            Salient,
            Turn,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "named" => Ok(GeneratedField::Named),
                            "indices" => Ok(GeneratedField::Indices),
                            "image" => Ok(GeneratedField::Image),
                            "tile" => Ok(GeneratedField::Tile),
                            "blocks" => Ok(GeneratedField::Blocks),
                            "random" => Ok(GeneratedField::Random),
                            "salient" => Ok(GeneratedField::Salient),
                            "turn" => Ok(GeneratedField::Turn),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Tokens;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Tokens")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Tokens, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut set__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Named => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("named"));
                            }
                            set__ = map_.next_value::<::std::option::Option<tokens::Named>>()?.map(|x| tokens::Set::Named(x as i32));
                        }
                        GeneratedField::Indices => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("indices"));
                            }
                            set__ = map_.next_value::<::std::option::Option<_>>()?.map(tokens::Set::Indices)
;
                        }
                        GeneratedField::Image => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("image"));
                            }
                            set__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| tokens::Set::Image(x.0));
                        }
                        GeneratedField::Tile => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tile"));
                            }
                            set__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| tokens::Set::Tile(x.0));
                        }
                        GeneratedField::Blocks => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("blocks"));
                            }
                            set__ = map_.next_value::<::std::option::Option<_>>()?.map(tokens::Set::Blocks)
;
                        }
                        GeneratedField::Random => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("random"));
                            }
                            set__ = map_.next_value::<::std::option::Option<_>>()?.map(tokens::Set::Random)
;
                        }
                        GeneratedField::Salient => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("salient"));
                            }
                            set__ = map_.next_value::<::std::option::Option<_>>()?.map(tokens::Set::Salient)
;
                        }
                        GeneratedField::Turn => {
                            if set__.is_some() {
                                return Err(serde::de::Error::duplicate_field("turn"));
                            }
                            set__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| tokens::Set::Turn(x.0));
                        }
                    }
                }
                Ok(Tokens {
                    set: set__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Tokens", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for tokens::Named {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "NAMED_UNSPECIFIED",
            Self::All => "NAMED_ALL",
            Self::Visual => "NAMED_VISUAL",
            Self::Text => "NAMED_TEXT",
            Self::System => "NAMED_SYSTEM",
            Self::Question => "NAMED_QUESTION",
            Self::Last => "NAMED_LAST",
            Self::Generated => "NAMED_GENERATED",
            Self::Newline => "NAMED_NEWLINE",
            Self::Class => "NAMED_CLASS",
            Self::BaseView => "NAMED_BASE_VIEW",
            Self::User => "NAMED_USER",
            Self::Assistant => "NAMED_ASSISTANT",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for tokens::Named {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "NAMED_UNSPECIFIED",
            "NAMED_ALL",
            "NAMED_VISUAL",
            "NAMED_TEXT",
            "NAMED_SYSTEM",
            "NAMED_QUESTION",
            "NAMED_LAST",
            "NAMED_GENERATED",
            "NAMED_NEWLINE",
            "NAMED_CLASS",
            "NAMED_BASE_VIEW",
            "NAMED_USER",
            "NAMED_ASSISTANT",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = tokens::Named;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "NAMED_UNSPECIFIED" => Ok(tokens::Named::Unspecified),
                    "NAMED_ALL" => Ok(tokens::Named::All),
                    "NAMED_VISUAL" => Ok(tokens::Named::Visual),
                    "NAMED_TEXT" => Ok(tokens::Named::Text),
                    "NAMED_SYSTEM" => Ok(tokens::Named::System),
                    "NAMED_QUESTION" => Ok(tokens::Named::Question),
                    "NAMED_LAST" => Ok(tokens::Named::Last),
                    "NAMED_GENERATED" => Ok(tokens::Named::Generated),
                    "NAMED_NEWLINE" => Ok(tokens::Named::Newline),
                    "NAMED_CLASS" => Ok(tokens::Named::Class),
                    "NAMED_BASE_VIEW" => Ok(tokens::Named::BaseView),
                    "NAMED_USER" => Ok(tokens::Named::User),
                    "NAMED_ASSISTANT" => Ok(tokens::Named::Assistant),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for TopTokens {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.tokens.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.TopTokens", len)?;
        if !self.tokens.is_empty() {
            struct_ser.serialize_field("tokens", &self.tokens)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TopTokens {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "tokens",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Tokens,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "tokens" => Ok(GeneratedField::Tokens),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TopTokens;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.TopTokens")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TopTokens, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut tokens__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Tokens => {
                            if tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokens"));
                            }
                            tokens__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(TopTokens {
                    tokens: tokens__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.TopTokens", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for UnloadModelRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.model.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.UnloadModelRequest", len)?;
        if !self.model.is_empty() {
            struct_ser.serialize_field("model", &self.model)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for UnloadModelRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "model",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Model,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "model" => Ok(GeneratedField::Model),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = UnloadModelRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.UnloadModelRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<UnloadModelRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut model__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Model => {
                            if model__.is_some() {
                                return Err(serde::de::Error::duplicate_field("model"));
                            }
                            model__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(UnloadModelRequest {
                    model: model__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.UnloadModelRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for UnloadModelResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.freed_bytes != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.UnloadModelResponse", len)?;
        if self.freed_bytes != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("freedBytes", ToString::to_string(&self.freed_bytes).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for UnloadModelResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "freed_bytes",
            "freedBytes",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            FreedBytes,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "freedBytes" | "freed_bytes" => Ok(GeneratedField::FreedBytes),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = UnloadModelResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.UnloadModelResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<UnloadModelResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut freed_bytes__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::FreedBytes => {
                            if freed_bytes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("freedBytes"));
                            }
                            freed_bytes__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(UnloadModelResponse {
                    freed_bytes: freed_bytes__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.UnloadModelResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for UploadImageRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.data.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.UploadImageRequest", len)?;
        if !self.data.is_empty() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("data", pbjson::private::base64::encode(&self.data).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for UploadImageRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "data",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Data,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "data" => Ok(GeneratedField::Data),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = UploadImageRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.UploadImageRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<UploadImageRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut data__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Data => {
                            if data__.is_some() {
                                return Err(serde::de::Error::duplicate_field("data"));
                            }
                            data__ = 
                                Some(map_.next_value::<::pbjson::private::BytesDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(UploadImageRequest {
                    data: data__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.UploadImageRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for UploadImageResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.handle.is_empty() {
            len += 1;
        }
        if self.width != 0 {
            len += 1;
        }
        if self.height != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.UploadImageResponse", len)?;
        if !self.handle.is_empty() {
            struct_ser.serialize_field("handle", &self.handle)?;
        }
        if self.width != 0 {
            struct_ser.serialize_field("width", &self.width)?;
        }
        if self.height != 0 {
            struct_ser.serialize_field("height", &self.height)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for UploadImageResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "handle",
            "width",
            "height",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Handle,
            Width,
            Height,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "handle" => Ok(GeneratedField::Handle),
                            "width" => Ok(GeneratedField::Width),
                            "height" => Ok(GeneratedField::Height),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = UploadImageResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.UploadImageResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<UploadImageResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut handle__ = None;
                let mut width__ = None;
                let mut height__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Handle => {
                            if handle__.is_some() {
                                return Err(serde::de::Error::duplicate_field("handle"));
                            }
                            handle__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Width => {
                            if width__.is_some() {
                                return Err(serde::de::Error::duplicate_field("width"));
                            }
                            width__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Height => {
                            if height__.is_some() {
                                return Err(serde::de::Error::duplicate_field("height"));
                            }
                            height__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(UploadImageResponse {
                    handle: handle__.unwrap_or_default(),
                    width: width__.unwrap_or_default(),
                    height: height__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.UploadImageResponse", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Usage {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.prompt_tokens != 0 {
            len += 1;
        }
        if self.image_tokens != 0 {
            len += 1;
        }
        if self.generation_tokens != 0 {
            len += 1;
        }
        if self.queue_seconds != 0. {
            len += 1;
        }
        if self.time_to_first_token_seconds != 0. {
            len += 1;
        }
        if self.total_seconds != 0. {
            len += 1;
        }
        if self.rows_computed != 0 {
            len += 1;
        }
        if self.flops != 0 {
            len += 1;
        }
        if self.baseline_flops != 0 {
            len += 1;
        }
        if self.rows_reused != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.Usage", len)?;
        if self.prompt_tokens != 0 {
            struct_ser.serialize_field("promptTokens", &self.prompt_tokens)?;
        }
        if self.image_tokens != 0 {
            struct_ser.serialize_field("imageTokens", &self.image_tokens)?;
        }
        if self.generation_tokens != 0 {
            struct_ser.serialize_field("generationTokens", &self.generation_tokens)?;
        }
        if self.queue_seconds != 0. {
            struct_ser.serialize_field("queueSeconds", &self.queue_seconds)?;
        }
        if self.time_to_first_token_seconds != 0. {
            struct_ser.serialize_field("timeToFirstTokenSeconds", &self.time_to_first_token_seconds)?;
        }
        if self.total_seconds != 0. {
            struct_ser.serialize_field("totalSeconds", &self.total_seconds)?;
        }
        if self.rows_computed != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("rowsComputed", ToString::to_string(&self.rows_computed).as_str())?;
        }
        if self.flops != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("flops", ToString::to_string(&self.flops).as_str())?;
        }
        if self.baseline_flops != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("baselineFlops", ToString::to_string(&self.baseline_flops).as_str())?;
        }
        if self.rows_reused != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("rowsReused", ToString::to_string(&self.rows_reused).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Usage {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "prompt_tokens",
            "promptTokens",
            "image_tokens",
            "imageTokens",
            "generation_tokens",
            "generationTokens",
            "queue_seconds",
            "queueSeconds",
            "time_to_first_token_seconds",
            "timeToFirstTokenSeconds",
            "total_seconds",
            "totalSeconds",
            "rows_computed",
            "rowsComputed",
            "flops",
            "baseline_flops",
            "baselineFlops",
            "rows_reused",
            "rowsReused",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PromptTokens,
            ImageTokens,
            GenerationTokens,
            QueueSeconds,
            TimeToFirstTokenSeconds,
            TotalSeconds,
            RowsComputed,
            Flops,
            BaselineFlops,
            RowsReused,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "promptTokens" | "prompt_tokens" => Ok(GeneratedField::PromptTokens),
                            "imageTokens" | "image_tokens" => Ok(GeneratedField::ImageTokens),
                            "generationTokens" | "generation_tokens" => Ok(GeneratedField::GenerationTokens),
                            "queueSeconds" | "queue_seconds" => Ok(GeneratedField::QueueSeconds),
                            "timeToFirstTokenSeconds" | "time_to_first_token_seconds" => Ok(GeneratedField::TimeToFirstTokenSeconds),
                            "totalSeconds" | "total_seconds" => Ok(GeneratedField::TotalSeconds),
                            "rowsComputed" | "rows_computed" => Ok(GeneratedField::RowsComputed),
                            "flops" => Ok(GeneratedField::Flops),
                            "baselineFlops" | "baseline_flops" => Ok(GeneratedField::BaselineFlops),
                            "rowsReused" | "rows_reused" => Ok(GeneratedField::RowsReused),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Usage;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.Usage")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Usage, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut prompt_tokens__ = None;
                let mut image_tokens__ = None;
                let mut generation_tokens__ = None;
                let mut queue_seconds__ = None;
                let mut time_to_first_token_seconds__ = None;
                let mut total_seconds__ = None;
                let mut rows_computed__ = None;
                let mut flops__ = None;
                let mut baseline_flops__ = None;
                let mut rows_reused__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PromptTokens => {
                            if prompt_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("promptTokens"));
                            }
                            prompt_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::ImageTokens => {
                            if image_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("imageTokens"));
                            }
                            image_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::GenerationTokens => {
                            if generation_tokens__.is_some() {
                                return Err(serde::de::Error::duplicate_field("generationTokens"));
                            }
                            generation_tokens__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::QueueSeconds => {
                            if queue_seconds__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queueSeconds"));
                            }
                            queue_seconds__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TimeToFirstTokenSeconds => {
                            if time_to_first_token_seconds__.is_some() {
                                return Err(serde::de::Error::duplicate_field("timeToFirstTokenSeconds"));
                            }
                            time_to_first_token_seconds__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::TotalSeconds => {
                            if total_seconds__.is_some() {
                                return Err(serde::de::Error::duplicate_field("totalSeconds"));
                            }
                            total_seconds__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::RowsComputed => {
                            if rows_computed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rowsComputed"));
                            }
                            rows_computed__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Flops => {
                            if flops__.is_some() {
                                return Err(serde::de::Error::duplicate_field("flops"));
                            }
                            flops__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::BaselineFlops => {
                            if baseline_flops__.is_some() {
                                return Err(serde::de::Error::duplicate_field("baselineFlops"));
                            }
                            baseline_flops__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::RowsReused => {
                            if rows_reused__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rowsReused"));
                            }
                            rows_reused__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Usage {
                    prompt_tokens: prompt_tokens__.unwrap_or_default(),
                    image_tokens: image_tokens__.unwrap_or_default(),
                    generation_tokens: generation_tokens__.unwrap_or_default(),
                    queue_seconds: queue_seconds__.unwrap_or_default(),
                    time_to_first_token_seconds: time_to_first_token_seconds__.unwrap_or_default(),
                    total_seconds: total_seconds__.unwrap_or_default(),
                    rows_computed: rows_computed__.unwrap_or_default(),
                    flops: flops__.unwrap_or_default(),
                    baseline_flops: baseline_flops__.unwrap_or_default(),
                    rows_reused: rows_reused__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.Usage", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Verdict {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "VERDICT_UNSPECIFIED",
            Self::Right => "VERDICT_RIGHT",
            Self::Wrong => "VERDICT_WRONG",
            Self::Unparsed => "VERDICT_UNPARSED",
            Self::Unjudged => "VERDICT_UNJUDGED",
            Self::Graded => "VERDICT_GRADED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for Verdict {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "VERDICT_UNSPECIFIED",
            "VERDICT_RIGHT",
            "VERDICT_WRONG",
            "VERDICT_UNPARSED",
            "VERDICT_UNJUDGED",
            "VERDICT_GRADED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = Verdict;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "VERDICT_UNSPECIFIED" => Ok(Verdict::Unspecified),
                    "VERDICT_RIGHT" => Ok(Verdict::Right),
                    "VERDICT_WRONG" => Ok(Verdict::Wrong),
                    "VERDICT_UNPARSED" => Ok(Verdict::Unparsed),
                    "VERDICT_UNJUDGED" => Ok(Verdict::Unjudged),
                    "VERDICT_GRADED" => Ok(Verdict::Graded),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for VerifyRequest {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.provenance.is_some() {
            len += 1;
        }
        if !self.images.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.VerifyRequest", len)?;
        if let Some(v) = self.provenance.as_ref() {
            struct_ser.serialize_field("provenance", v)?;
        }
        if !self.images.is_empty() {
            struct_ser.serialize_field("images", &self.images)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for VerifyRequest {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "provenance",
            "images",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Provenance,
            Images,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "provenance" => Ok(GeneratedField::Provenance),
                            "images" => Ok(GeneratedField::Images),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = VerifyRequest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.VerifyRequest")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<VerifyRequest, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut provenance__ = None;
                let mut images__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Provenance => {
                            if provenance__.is_some() {
                                return Err(serde::de::Error::duplicate_field("provenance"));
                            }
                            provenance__ = map_.next_value()?;
                        }
                        GeneratedField::Images => {
                            if images__.is_some() {
                                return Err(serde::de::Error::duplicate_field("images"));
                            }
                            images__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(VerifyRequest {
                    provenance: provenance__,
                    images: images__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.VerifyRequest", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for VerifyResponse {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.agrees {
            len += 1;
        }
        if !self.differences.is_empty() {
            len += 1;
        }
        if self.provenance.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("scotoma.v1.VerifyResponse", len)?;
        if self.agrees {
            struct_ser.serialize_field("agrees", &self.agrees)?;
        }
        if !self.differences.is_empty() {
            struct_ser.serialize_field("differences", &self.differences)?;
        }
        if let Some(v) = self.provenance.as_ref() {
            struct_ser.serialize_field("provenance", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for VerifyResponse {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "agrees",
            "differences",
            "provenance",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Agrees,
            Differences,
            Provenance,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "agrees" => Ok(GeneratedField::Agrees),
                            "differences" => Ok(GeneratedField::Differences),
                            "provenance" => Ok(GeneratedField::Provenance),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = VerifyResponse;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct scotoma.v1.VerifyResponse")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<VerifyResponse, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut agrees__ = None;
                let mut differences__ = None;
                let mut provenance__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Agrees => {
                            if agrees__.is_some() {
                                return Err(serde::de::Error::duplicate_field("agrees"));
                            }
                            agrees__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Differences => {
                            if differences__.is_some() {
                                return Err(serde::de::Error::duplicate_field("differences"));
                            }
                            differences__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Provenance => {
                            if provenance__.is_some() {
                                return Err(serde::de::Error::duplicate_field("provenance"));
                            }
                            provenance__ = map_.next_value()?;
                        }
                    }
                }
                Ok(VerifyResponse {
                    agrees: agrees__.unwrap_or_default(),
                    differences: differences__.unwrap_or_default(),
                    provenance: provenance__,
                })
            }
        }
        deserializer.deserialize_struct("scotoma.v1.VerifyResponse", FIELDS, GeneratedVisitor)
    }
}
