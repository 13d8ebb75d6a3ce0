package scotoma

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// with applies options, which set further fields.
func with[M any](message *M, options []func(*M)) *M {
	for _, option := range options {
		option(message)
	}
	return message
}

// PermuteTokens permutes the visual tokens of each picture by a seed, all together unless an option says otherwise.
func PermuteTokens(seed uint64, options ...func(*v1.PermuteTokens)) *v1.Intervention {
	return permute(&v1.PermuteTokens{Source: &v1.PermuteTokens_Seed{Seed: seed}}, options)
}

// PermuteTokensTo makes row i of the visual tokens row order[i].
func PermuteTokensTo(order ...uint32) *v1.Intervention {
	return permute(&v1.PermuteTokens{Source: &v1.PermuteTokens_Order{Order: &v1.TokenOrder{Indices: order}}}, nil)
}

func permute(m *v1.PermuteTokens, options []func(*v1.PermuteTokens)) *v1.Intervention {
	m.Scope = v1.PermuteTokens_SCOPE_ALL
	return &v1.Intervention{Kind: &v1.Intervention_PermuteTokens{PermuteTokens: with(m, options)}}
}

// OccludeAtRandom hides a random share (0 to 1) of the patches: in black, unless an option sets another Fill.
func OccludeAtRandom(ratio float64, seed uint64, options ...func(*v1.OccludePatches)) *v1.Intervention {
	random := &v1.RandomPatches{Ratio: ratio, Seed: proto.Uint64(seed)}
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_Random{Random: random}}, options)
}

// OccludeSalient hides the fewest patches that hold this mass (0 to 1) of the tower's attention.
func OccludeSalient(mass float64, options ...func(*v1.OccludePatches)) *v1.Intervention {
	return OccludeMostAttended(salient(mass), options...)
}

// OccludeMostAttended hides the patches that are chosen so.
func OccludeMostAttended(patches *v1.SalientPatches, options ...func(*v1.OccludePatches)) *v1.Intervention {
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_Salient{Salient: patches}}, options)
}

// OccludeNonSalient hides all but the patches that OccludeSalient would.
func OccludeNonSalient(mass float64, options ...func(*v1.OccludePatches)) *v1.Intervention {
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_NonSalient{NonSalient: salient(mass)}}, options)
}

// OccludeCells blackens patches by number, row by row from the top left.
func OccludeCells(cells ...uint32) *v1.Intervention {
	return occlude(&v1.OccludePatches{Choice: &v1.OccludePatches_Indices{Indices: &v1.PatchIndices{Indices: cells}}}, nil)
}

func salient(mass float64) *v1.SalientPatches {
	return &v1.SalientPatches{Amount: &v1.SalientPatches_Mass{Mass: mass}}
}

func occlude(m *v1.OccludePatches, options []func(*v1.OccludePatches)) *v1.Intervention {
	m.Fill = v1.OccludePatches_FILL_BLACK
	return &v1.Intervention{Kind: &v1.Intervention_OccludePatches{OccludePatches: with(m, options)}}
}

// DropLayers lets layers of the language model, counted from 0, hand their input on unchanged.
func DropLayers(layers ...uint32) *v1.Intervention {
	return drop(v1.Stack_STACK_LANGUAGE_MODEL, layers)
}

// DropTowerLayers does the same in the vision tower.
func DropTowerLayers(layers ...uint32) *v1.Intervention {
	return drop(v1.Stack_STACK_VISION_TOWER, layers)
}

func drop(stack v1.Stack, layers []uint32) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_DropLayers{DropLayers: &v1.DropLayers{Stack: stack, Layers: layers}}}
}

// SwapProjector runs another resident projector.
func SwapProjector(name string) *v1.Intervention {
	return swap(&v1.SwapProjector{Source: &v1.SwapProjector_Name{Name: name}})
}

// SwapProjectorAtRandom runs a random projector.
func SwapProjectorAtRandom(seed uint64) *v1.Intervention {
	return swap(&v1.SwapProjector{Source: &v1.SwapProjector_RandomSeed{RandomSeed: seed}})
}

// SwapProjectorByIdentity runs no projector; the tower and the language model must be equally wide.
func SwapProjectorByIdentity() *v1.Intervention {
	return swap(&v1.SwapProjector{Source: &v1.SwapProjector_Identity{Identity: &v1.IdentityProjector{}}})
}

func swap(m *v1.SwapProjector) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_SwapProjector{SwapProjector: m}}
}

// BlankImage shows one colour in place of the picture: the blind control of a benchmark.
func BlankImage(colour v1.BlankImage_Colour) *v1.Intervention {
	return blank(&v1.BlankImage{Fill: &v1.BlankImage_Colour_{Colour: colour}})
}

// BlankImageOf shows a colour of red, green and blue, 0 to 255 each.
func BlankImageOf(red, green, blue uint8) *v1.Intervention {
	rgb := &v1.Rgb{Red: uint32(red), Green: uint32(green), Blue: uint32(blue)}
	return blank(&v1.BlankImage{Fill: &v1.BlankImage_Rgb{Rgb: rgb}})
}

func blank(m *v1.BlankImage) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_BlankImage{BlankImage: m}}
}

// ShufflePatches cuts the picture in grid x grid cells and permutes them by a seed.
func ShufflePatches(grid uint32, seed uint64) *v1.Intervention {
	return shuffle(&v1.ShufflePatches{Grid: grid, Source: &v1.ShufflePatches_Seed{Seed: seed}})
}

// ShufflePatchesTo lets cell i show what cell order[i] did.
func ShufflePatchesTo(grid uint32, order ...uint32) *v1.Intervention {
	return shuffle(&v1.ShufflePatches{Grid: grid, Source: &v1.ShufflePatches_Order{Order: &v1.TokenOrder{Indices: order}}})
}

func shuffle(m *v1.ShufflePatches) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_ShufflePatches{ShufflePatches: m}}
}

// SelectTokens keeps, removes or pools visual tokens.
func SelectTokens(tokens Selector, mode v1.SelectTokens_Mode, options ...func(*v1.SelectTokens)) *v1.Intervention {
	m := with(&v1.SelectTokens{Tokens: selected(tokens), Mode: mode}, options)
	return &v1.Intervention{Kind: &v1.Intervention_SelectTokens{SelectTokens: m}}
}

// ReplaceTokens writes zero, or the mean of the picture, over visual tokens.
func ReplaceTokens(tokens Selector, constant v1.Constant) *v1.Intervention {
	return replace(tokens, &v1.ReplaceTokens{Source: &v1.ReplaceTokens_Constant{Constant: constant}})
}

// ReplaceTokensByNoise writes noise with the picture's mean and standard deviation.
func ReplaceTokensByNoise(tokens Selector, seed uint64) *v1.Intervention {
	noise := &v1.TokenNoise{Seed: proto.Uint64(seed)}
	return replace(tokens, &v1.ReplaceTokens{Source: &v1.ReplaceTokens_Noise{Noise: noise}})
}

// ReplaceTokensByPicture writes the tokens of another picture, the bytes of a file.
func ReplaceTokensByPicture(tokens Selector, file []byte) *v1.Intervention {
	return replace(tokens, &v1.ReplaceTokens{Source: &v1.ReplaceTokens_Donor{Donor: &v1.Donor{Data: file}}})
}

func replace(tokens Selector, m *v1.ReplaceTokens) *v1.Intervention {
	m.Tokens = selected(tokens)
	return &v1.Intervention{Kind: &v1.Intervention_ReplaceTokens{ReplaceTokens: m}}
}

// RepeatLayers runs layers first to last again after themselves, so many times more (at most 16).
func RepeatLayers(first, last, times uint32, options ...func(*v1.RepeatLayers)) *v1.Intervention {
	m := with(&v1.RepeatLayers{First: first, Last: last, Times: times}, options)
	return &v1.Intervention{Kind: &v1.Intervention_RepeatLayers{RepeatLayers: m}}
}

// ExitEarly leaves out all layers above one.
func ExitEarly(layer uint32, options ...func(*v1.ExitEarly)) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_ExitEarly{ExitEarly: with(&v1.ExitEarly{Layer: layer}, options)}}
}

// AddNoise adds noise of a scale (0 to 1e6): gaussian by a seed of the server, unless options say otherwise.
func AddNoise(target *v1.Target, scale float64, options ...func(*v1.AddNoise)) *v1.Intervention {
	m := with(&v1.AddNoise{Target: target, Scale: scale}, options)
	return &v1.Intervention{Kind: &v1.Intervention_AddNoise{AddNoise: m}}
}

// Steer adds scale * vector: activation steering.
func Steer(target *v1.Target, vector []float32, scale float64) *v1.Intervention {
	m := &v1.Steer{Target: target, Vector: vector, Scale: scale}
	return &v1.Intervention{Kind: &v1.Intervention_Steer{Steer: m}}
}

// ProjectOut removes the span of directions: directional ablation.
func ProjectOut(target *v1.Target, directions ...[]float32) *v1.Intervention {
	m := &v1.ProjectOut{Target: target}
	for _, values := range directions {
		m.Directions = append(m.Directions, &v1.Direction{Values: values})
	}
	return &v1.Intervention{Kind: &v1.Intervention_ProjectOut{ProjectOut: m}}
}

// Scale multiplies by a factor; 1 changes nothing.
func Scale(target *v1.Target, factor float64) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_Scale{Scale: &v1.Scale{Target: target, Factor: factor}}}
}

// ClampNorm limits the Euclidean norm of each row, above 0.
func ClampNorm(target *v1.Target, maxNorm float64) *v1.Intervention {
	m := &v1.ClampNorm{Target: target, MaxNorm: maxNorm}
	return &v1.Intervention{Kind: &v1.Intervention_ClampNorm{ClampNorm: m}}
}

// SetFeature sets features of a resident sparse autoencoder to a value; the only one where sae is empty. What the autoencoder does not
// explain of a row stays. The other changes are &v1.SetFeature_Scale, &v1.SetFeature_Add and &v1.SetFeature_Ablate, as Change.
func SetFeature(target *v1.Target, sae string, value float64, features ...uint32) *v1.Intervention {
	m := &v1.SetFeature{Target: target, Sae: sae, Features: features, Change: &v1.SetFeature_Clamp{Clamp: value}}
	return &v1.Intervention{Kind: &v1.Intervention_SetFeature{SetFeature: m}}
}

// Ablate writes zeros, or the mean of the chosen tokens of the prompt.
func Ablate(target *v1.Target, value v1.Constant) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_Ablate{Ablate: &v1.Ablate{Target: target, Value: value}}}
}

// Patch writes rows of numbers, one for all chosen tokens or one for each. Rows of other widths than the first are refused by the
// server.
func Patch(target *v1.Target, rows ...[]float32) *v1.Intervention {
	var data []byte
	width := 0
	for _, row := range rows {
		width = len(row)
		for _, value := range row {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
		}
	}
	values := &v1.Tensor{Shape: []uint32{uint32(len(rows)), uint32(width)}, Dtype: v1.DataType_DATA_TYPE_F32, Data: data}
	return write(&v1.Patch{Target: target, Source: &v1.Patch_Values{Values: values}})
}

// PatchKept writes what Capture has kept, by its handle.
func PatchKept(target *v1.Target, handle string) *v1.Intervention {
	return write(&v1.Patch{Target: target, Source: &v1.Patch_Handle{Handle: handle}})
}

func write(m *v1.Patch) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_Patch{Patch: m}}
}

// KnockOutAttention hides tokens from tokens that look; nil is all of them.
func KnockOutAttention(from, to Selector, options ...func(*v1.KnockOutAttention)) *v1.Intervention {
	m := with(&v1.KnockOutAttention{From: selected(from), To: selected(to)}, options)
	return &v1.Intervention{Kind: &v1.Intervention_KnockOutAttention{KnockOutAttention: m}}
}

// PruneTokens drops visual tokens after a layer of the language model, but for a share (0 to 1) of them: those that the last token
// attends to most (FastV), unless an option sets another Ranking.
func PruneTokens(layer uint32, keepShare float64, options ...func(*v1.PruneTokens)) *v1.Intervention {
	return prune(&v1.PruneTokens{Layer: layer, Amount: &v1.PruneTokens_KeepShare{KeepShare: keepShare}}, options)
}

// PruneTokensTo does the same, but for so many of them.
func PruneTokensTo(layer, keepCount uint32, options ...func(*v1.PruneTokens)) *v1.Intervention {
	return prune(&v1.PruneTokens{Layer: layer, Amount: &v1.PruneTokens_KeepCount{KeepCount: keepCount}}, options)
}

func prune(m *v1.PruneTokens, options []func(*v1.PruneTokens)) *v1.Intervention {
	return &v1.Intervention{Kind: &v1.Intervention_PruneTokens{PruneTokens: with(m, options)}}
}

// ReceivedFrom ranks by the attention that tokens receive from these.
func ReceivedFrom(tokens Selector) func(*v1.PruneTokens) {
	return func(m *v1.PruneTokens) { m.Ranking = &v1.PruneTokens_ReceivedFrom{ReceivedFrom: selected(tokens)} }
}

// ParseIntervention reads any intervention in its canonical JSON form, {"exitEarly":{"layer":5}} for instance.
func ParseIntervention(text string) (*v1.Intervention, error) {
	intervention := &v1.Intervention{}
	if err := protojson.Unmarshal([]byte(text), intervention); err != nil {
		return nil, err
	}
	return intervention, nil
}

// ToJSON is the canonical JSON form, for printing in a paper.
func ToJSON(intervention *v1.Intervention) (string, error) {
	text, err := protojson.Marshal(intervention)
	return string(text), err
}
